"""How often each guardrail holds back what is better, and how often it holds back what it is there for.

    python -m benchmarks.guardrails [--draws 2000] [--seed 1000] [--only G2 G10]

A guardrail is one function here: it gets the number of draws and a seed, and gives its rows. Every row
runs the product's own checks with their default thresholds on simulated rounds. `held back` is the share
of rounds that the win rate (G1) alone would have promoted and in which the guardrail did not pass at any
look until 600 labels were in, or failed; for a check that only warns, the share in which it warned. What
watches runs (the optimum of G4, and G7) is asked of every run, before any label:
`--only G4 G7 --results benchmarks/results/guardrails_of_runs.json`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.checkpoint_curves import CURVES, LAWS, forecast_holds, mismatch_warns
from benchmarks.peers import results_write
from evaluation.contracts import (
    GateMeasurements,
    GatePolicySettings,
    HumanLabels,
    Interval,
    PolicyMeasurements,
)
from evaluation.gates.fragility import labels_to_flip
from evaluation.gates.outcomes import Outcome, human_labels
from evaluation.policy import CHECKS, DEFAULT_CHECKS, error_level
from evaluation.statistics.betting import Aim
from evaluation.statistics.controlled import length_control
from evaluation.statistics.intervals import FloatArray, IntArray, wilson_interval
from evaluation.statistics.people import people_e_process
from evaluation.statistics.style import length_differences

SETTINGS = GatePolicySettings()
LABELS, EVERY = 600, 60  # pairs of a round, labels between two looks
AIM = Aim(error_level(0.0, 0, SETTINGS.alpha), LABELS)  # of a line's first test
BLOCK = int(DEFAULT_CHECKS["G1"].thresholds["annotators"])


@dataclass(frozen=True)
class Row:
    """`better` says what the guardrail should do: let through (true) or hold back."""

    guardrail: str
    case: str
    better: bool
    rounds: int
    promotable: int
    held_back: Interval
    seed: int


Guardrail = Callable[[int, int], Iterator[Row]]


# --------------------------------------------------------------------------- length


@dataclass(frozen=True)
class Case:
    """A line's candidate: texts `ratio` times as long at the median (log spread `spread`).

    `prefers` gives the chance of a win from the log ratio of lengths; a tie takes `ties` of it from
    either side. Annotators differ by `icc` of the variance of a label.
    """

    name: str
    better: bool
    ratio: float
    prefers: Callable[[FloatArray], FloatArray]
    spread: float = 0.3
    annotators: int = 12
    icc: float = 0.0
    ties: float = 0.2


def _even(rate: float) -> Callable[[FloatArray], FloatArray]:
    return lambda longer: np.full(len(longer), rate)


CASES = (
    Case("longer always wins, 1.17 times", False, 1.17, lambda d: (np.sign(d) + 1) / 2, 0.357),
    Case("longer wins mostly, 1.17 times", False, 1.17, lambda d: expit(8 * d), 0.25),
    Case("longer wins somewhat, 1.17 times", False, 1.17, lambda d: expit(4 * d), 0.25),
    Case("60 %, equal length", True, 1.0, _even(0.60)),
    Case("60 %, equal length, 8 annotators", True, 1.0, _even(0.60), annotators=8),
    Case("60 %, equal length, ICC .1, 20 annotators", True, 1.0, _even(0.60), annotators=20, icc=0.1),
    Case("57 %, 1.10 times as long for good reasons", True, 1.1, _even(0.57)),
)  # fmt: skip


@dataclass(frozen=True)
class Labelled:
    """One round's outcomes, lengths [labels, 2] and annotators, in order."""

    outcomes: FloatArray
    lengths: FloatArray
    annotators: IntArray


def _labelled(rng: np.random.Generator, case: Case) -> Labelled:
    typical = np.exp(rng.normal(np.log(400), 0.5, LABELS))
    longer = np.log(case.ratio) + rng.normal(0, case.spread, LABELS)
    lengths = np.round(np.stack([typical * np.exp(longer / 2), typical * np.exp(-longer / 2)], 1))
    annotators = np.arange(LABELS) % case.annotators
    p = case.prefers(longer)
    own = np.sqrt(case.icc * p * (1 - p)) * rng.normal(0, 1, case.annotators)[annotators]
    p = np.clip(p + own, 0, 1)
    half, draw = case.ties * np.minimum(p, 1 - p), rng.random(LABELS)
    outcomes = np.where(draw < p - half, 1.0, np.where(draw < p + half, 0.5, 0.0))
    return Labelled(outcomes, lengths, annotators)


def _looks(found: Labelled) -> Iterator[GateMeasurements]:
    """What the gate knows at each look once the win rate is shown."""
    shown = _shown_at(found.outcomes, found.annotators)
    if shown is not None:
        for n in range(-(-shown // EVERY) * EVERY, LABELS + 1, EVERY):
            yield _measured(found, n)


def _shown_at(outcomes: FloatArray, annotators: IntArray) -> int | None:
    """Labels at which G1 first shows a better candidate; its blocks follow each other as labels come."""
    people = annotators.tolist()
    found = people_e_process(outcomes, people, aim=AIM, null=0.5, block=BLOCK) >= 1 / AIM.level
    return (int(found.argmax()) + 1) * BLOCK if found.any() else None


def _measured(found: Labelled, n: int) -> GateMeasurements:
    lengths = found.lengths[:n]
    control = length_control(
        found.outcomes[:n],
        length_differences(lengths),
        annotators=found.annotators[:n].tolist(),
        groups=range(n),
    )
    medians = np.median(found.lengths, axis=0)  # the samples are drawn before any label
    nothing = Interval(0.0, 0.0, 0.0, 0.95, n)
    ratio = replace(nothing, low=0.0, estimate=float(medians[0] / medians[1]), high=1.25)
    policy = PolicyMeasurements(
        prompts=n, groups=n, train_gain=nothing, held_out_gain=nothing, kl={},
        length_ratio=ratio, length_free_share=None, diversity={},
    )  # fmt: skip
    labels = HumanLabels(n, 0, 0, 0, 1.0, 1.0, 1.0, labels_left=LABELS - n)
    return GateMeasurements(
        candidate_sha256="c", incumbent_sha256="i", labels=labels, policy=policy,
        length_control=control,
    )  # fmt: skip


@cache
def _held(case: Case, draws: int, seed: int) -> tuple[tuple[bool, bool, bool], ...]:
    """For each round that G1 would promote: held back by G2, by G10, by the two together."""
    rng = np.random.default_rng(seed)
    rounds = [list(_statuses(_labelled(rng, case))) for _ in range(draws)]
    return tuple(
        (
            _never(first for first, _ in looks),
            _never(second for _, second in looks),
            _never(_together(pair) for pair in looks),
        )
        for looks in rounds
        if looks
    )


def _statuses(found: Labelled) -> Iterator[tuple[str, str]]:
    """(G2, G10) at each look, until both pass."""
    for m in _looks(found):
        g2, g10 = (
            CHECKS[c].decide(m, SETTINGS, DEFAULT_CHECKS[c].thresholds).status
            for c in ("G2", "G10")
        )
        yield g2, g10
        if g2 == g10 == "PASS":
            return


def _together(pair: tuple[str, str]) -> str:
    return next((status for status in ("FAIL", "UNRESOLVED") if status in pair), "PASS")


def _never(statuses: Iterator[str]) -> bool:
    """Whether a round ends without a pass: at the first pass it is through, at a failure it is not."""
    return next((status != "PASS" for status in statuses if status != "UNRESOLVED"), True)


def _length_rows(name: str, which: int, draws: int, seed: int) -> Iterator[Row]:
    for i, case in enumerate(CASES):
        held = [found[which] for found in _held(case, draws, seed + i)]
        yield _row(name, case.name, case.better, draws, held, seed + i)


def g2(draws: int, seed: int) -> Iterator[Row]:
    """The win rate at equal length."""
    yield from _length_rows("G2", 0, draws, seed)


def g10(draws: int, seed: int) -> Iterator[Row]:
    """People's gain that is left at equal length, of candidates whose replies grew."""
    yield from _length_rows("G10", 1, draws, seed)


def length_together(draws: int, seed: int) -> Iterator[Row]:
    yield from _length_rows("G2 and G10", 2, draws, seed)


# ------------------------------------------------------------------------ fragility


def g14(draws: int, seed: int) -> Iterator[Row]:
    """Warnings at the block at which the win rate is first shown (it only warns); 12 annotators."""
    for i, rate in enumerate((0.55, 0.60, 0.70)):
        rng = np.random.default_rng(seed + i)
        warned = [_warned((rng.random(LABELS) < rate).astype(float)) for _ in range(draws)]
        found = [w for w in warned if w is not None]
        yield _row("G14", f"{rate:.0%} shown better", True, draws, found, seed + i)


def _warned(outcomes: FloatArray) -> bool | None:
    """None where the win rate is never shown."""
    people = np.arange(LABELS) % 12
    n = _shown_at(outcomes, people)
    if n is None:
        return None
    told = [
        Outcome(str(i), str(i), str(people[i]), float(outcomes[i]), float(outcomes[i]))
        for i in range(n)
    ]
    found = human_labels(told, settings=SETTINGS, aim=AIM, labels_left=0, expired=False)
    flip = labels_to_flip(told, found, settings=SETTINGS, aim=AIM)
    assert flip is not None
    return flip / n < DEFAULT_CHECKS["G14"].thresholds["share"]


# ---------------------------------------------------------------------- checkpoints


def g4(draws: int, seed: int) -> Iterator[Row]:
    """Candidates within the budget that the optimum of earlier rounds holds back."""
    for i, case in enumerate(LAWS):
        held = forecast_holds(case, draws, seed + i)
        yield _row("G4", case.name, case.better, draws, held, seed + i)


def g7(draws: int, seed: int) -> Iterator[Row]:
    """Warnings of the mismatch meter (it only warns)."""
    for i, case in enumerate(CURVES):
        warned = mismatch_warns(case, draws, seed + i)
        yield _row("G7", case.name, case.better, draws, warned, seed + i)


# -------------------------------------------------------------------------- telling


GUARDRAILS: dict[str, Guardrail] = {
    "G2": g2,
    "G4": g4,
    "G7": g7,
    "G10": g10,
    "G2 and G10": length_together,
    "G14": g14,
}


def _row(
    guardrail: str, case: str, better: bool, rounds: int, held: Sequence[bool], seed: int
) -> Row:
    share = wilson_interval(sum(held), max(1, len(held)))
    return Row(guardrail, case, better, rounds, len(held), share, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=GUARDRAILS, default=list(GUARDRAILS))
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    rows: list[Row] = []
    print(f"{'guardrail':<12}{'rounds':<46}{'should':>9}{'promotable':>12}{'held back':>26}")
    for name in arguments.only:
        for row in GUARDRAILS[name](arguments.draws, arguments.seed):
            rows.append(row)
            held = row.held_back
            told = f"{held.estimate:.1%} ({held.low:.1%} to {held.high:.1%})"
            should = "pass" if row.better else "hold"
            print(f"{name:<12}{row.case:<46}{should:>9}{row.promotable:>12}{told:>26}", flush=True)
            results_write("guardrails", _document(arguments, rows), path=arguments.results)


def _document(arguments: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """What is known so far: written after every row, since all of them take half an hour."""
    return {
        "draws": arguments.draws,
        "seed": arguments.seed,
        "labels": LABELS,
        "labels_between_looks": EVERY,
        "rows": [asdict(row) for row in rows],
    }


if __name__ == "__main__":
    main()
