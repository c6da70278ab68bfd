"""Which alarm rings first where a policy over-optimises, and which rings on a policy that gets better.

    python -m benchmarks.outlier_alarm [--throwaway 951] [--seeds 401 402 403]

In the world of the self-test (`outerloop.selftest`), one first policy, and per seed two arms on the same noisy labels:
`free`, where nothing holds PPO and it learns the reward model's mistakes, and `held`, where KL has a limit of 2 nats.
Both count texts outside the reference's cloud. The hidden gold watches; nothing learns from it, and no alarm stops a
run: each is asked afterwards of the rows, update by update.

Fixed before any counted seed was run:

limits           of each measure in `MEASURES` the smallest value of its grid at which it rings in no `held` run of the
                 throwaway seeds; so all are as eager as good runs allow.
gain             gold of an update's completions less that of the first policy's, as a mean over three neighbours.
fallen           the first update after the largest gain at which a tenth of it is lost; none where that never
                 happens, or the gain is never above 0.
lead             updates from the ring to there, in `free`; below 0 the alarm came too late, none where it never rang
                 or the gold never fell.
false alarm      a ring in `held`, or in `free` before the largest gain is reached.
aim              `outside` has a larger lead than `held-out` on every counted seed whose gold falls, three at least, and
                 no false alarm. Else its alarm stays off by default.

Finished runs lie under --work and are only read; the results file is written after each arm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results_file import result_head
from outerloop.selftest.bench import Bench
from outerloop.selftest.learning import GOLD_METRIC, World, measured, ppo_run, reward_models
from outerloop.selftest.sizes import ARMS, ORDINARY, SINGLE
from training.contracts import Alarms
from training.core.run.alarms import alarm_of, row_of
from web.files import file_write

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "outlier_alarm.json"
FIRST = 950
"""Seed of the one first policy: fine-tuning it is the dearest part, and no part of the question."""
SIZES = replace(
    ORDINARY,
    prompts=700,
    ppo=replace(ORDINARY.ppo, updates=20, prompts_per_update=16, outlier_texts=200),
)
RUNS: dict[str, dict[str, Any]] = {
    "free": {},
    "held": {"kl": {"kind": "lagrangian", "beta": 0.07, "target": 2.0, "rate": 0.05}},
}
OFF = Alarms(kl_limit=0.0, entropy_share=0.0, reward_rise=0.0)
MEASURES: dict[str, tuple[str, tuple[float, ...]]] = {
    "held-out": ("reward_rise", tuple(round(0.1 * i, 1) for i in range(1, 31))),
    "outside": ("outlier_share", tuple(round(0.02 * i, 2) for i in range(1, 50))),
    "KL": ("kl_limit", tuple(0.5 * i for i in range(2, 61))),
}
"""Setting of `Alarms`, and the values among which its limit is found."""
WATCHED = ("kl_k1", "reward_train", "reward_held_out", "outlier_share", GOLD_METRIC)
Row = Mapping[str, float | None]
Rows = Sequence[Row]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--throwaway", type=int, nargs="+", default=[951])
    parser.add_argument("--seeds", type=int, nargs="+", default=[401, 402, 403])
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "outlier_alarm")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with Bench(arguments.work, partial(print, flush=True)) as bench:
        first = World(bench, FIRST, SIZES).policy
        held = [run_rows(bench, first, seed, "held") for seed in arguments.throwaway]
        limits = {name: limit_found(name, held) for name in MEASURES}
        arms: dict[str, Any] = {}
        for seed in arguments.seeds:
            for name in RUNS:
                rows = run_rows(bench, first, seed, name)
                arms[f"{name} {seed}"] = judged(rows, limits) | columns(rows)
                document = {"throwaway": arguments.throwaway, "limits": limits, "arms": arms}
                file_write(arguments.results, json.dumps(result_head() | document, indent=1) + "\n")
    print(table(arms, limits))


def run_rows(bench: Bench, first: Path, seed: int, name: str) -> list[dict[str, float | None]]:
    """What one PPO run measured, update by update."""
    world = World(bench, seed, SIZES)
    vars(world)["policy"] = first  # in place of one of its own
    arm = replace(ARMS["noise"], runs={SINGLE: RUNS[name]})
    return measured(ppo_run(world, arm, SINGLE, reward_models(world, arm)))


def columns(rows: Rows) -> dict[str, list[float]]:
    return {name: [round(float(row[name] or 0), 4) for row in rows] for name in WATCHED}


# ------------------------------------------------------------------------------- judging


def limit_found(measure: str, good: Iterable[Rows]) -> float | None:
    """The smallest limit at which a measure rings in none of these runs; None where each rings somewhere."""
    runs = list(good)
    _, grid = MEASURES[measure]
    return next(
        (value for value in grid if all(rings_at(rows, measure, value) is None for rows in runs)),
        None,
    )


def rings_at(rows: Rows, measure: str, limit: float | None) -> int | None:
    """The update after whose rollout the alarm rings, reading as a run does."""
    if limit is None:
        return None
    limits = Alarms.from_json(OFF.to_json() | {MEASURES[measure][0]: limit})
    watched = [row_of(row) for row in rows]
    ends = range(1, len(watched) + 1)
    return next((end - 1 for end in ends if alarm_of(watched[:end], limits)), None)


def judged(rows: Rows, limits: Mapping[str, float | None]) -> dict[str, Any]:
    """Where the gold was highest, where a tenth of it was lost, and where each alarm rings."""
    gold = np.array([float(row[GOLD_METRIC] or 0) for row in rows])
    gain = smoothed(gold - gold[0])
    top = int(np.argmax(gain))
    lost = (gain[top:] <= 0.9 * gain[top]) & (gain[top] > 0)
    fallen = top + int(lost.argmax()) if lost.any() else None
    rings = {name: rings_at(rows, name, limit) for name, limit in limits.items()}
    return {
        "peak": top,
        "gain_peak": round(float(gain[top]), 4),
        "gain_end": round(float(gain[-1]), 4),
        "fallen": fallen,
        "rings": rings,
        "leads": {
            name: None if at is None or fallen is None else fallen - at
            for name, at in rings.items()
        },
    }


def smoothed(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Means over each value and its two neighbours; of two at both ends."""
    padded = np.pad(values.astype(float), 1, constant_values=np.nan)
    means: np.ndarray[Any, Any] = np.nanmean(
        np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1
    )
    return means


# --------------------------------------------------------------------------------- table


def table(arms: Mapping[str, Any], limits: Mapping[str, float | None]) -> str:
    """A line an arm and seed: the update at which each alarm rings, and its lead."""
    rings = [f"{name} (limit {limit})" for name, limit in limits.items()]
    heads = ["arm", "peak at", "gain", "at the end", "fallen at", *rings]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, found in arms.items():
        gains = [f"{found[column]:+.2f}" for column in ("gain_peak", "gain_end")]
        fallen = "-" if found["fallen"] is None else str(found["fallen"])
        said = [_ring(found, measure) for measure in limits]
        lines.append("| " + " | ".join([name, str(found["peak"]), *gains, fallen, *said]) + " |")
    return "\n".join(lines)


def _ring(found: Mapping[str, Any], measure: str) -> str:
    at, lead = found["rings"][measure], found["leads"][measure]
    if at is None:
        return "silent"
    return str(at) if lead is None else f"{at} ({lead:+d})"


if __name__ == "__main__":
    main()
