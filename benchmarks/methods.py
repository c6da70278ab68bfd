"""Ways to train on a reward model, side by side where it is easiest to over-optimise: what of the gold is kept.

    OUTERLOOP_THREADS=1 python -m benchmarks.methods --seeds 211 223 227 229 233 [--methods gae rloo]

One first policy; per seed prompts of the demo's world, 800 labels of that policy's answers to them by the simulated
annotators, an ensemble of three reward models and a held-out one. Every method then trains that policy for the same
number of completions with nothing that holds it near its reference (no KL price unless the method is one), which is
the demo's over-optimised arm. The hidden gold scores each update's completions; nothing learns from it.

Fixed before the counted seeds were run:

KL budget        2 nats a sequence, what the demo's ordinary PPO spends (decision 12); over-optimised: 8 nats.
gain             gold of an update's completions less that of the first policy's completions of the same prompts,
                 as a mean over three neighbouring updates, so that the peak is not the luckiest draw.
peak             the largest gain of the run up to 8 nats.
kept             gain at the first update past 8 nats, or at the last update where the run never gets there (then
                 `reached` is false), over the peak; none where the gain is never above 0.
aim              kept >= 0.9 on five of five seeds, with a peak no lower than that of `gae` by more than the 95 %
                 interval over seeds: a method that learns nothing keeps everything.
win rate         share of an update's completions that the gold prefers to the first policy's, ties half; given at
                 the peak and at the end.
seconds          processor seconds of the training program, on one thread.

Seed 199 was used to choose sizes and is not counted; `p3o` and `gradient penalty` came later, with settings that no
seed was used to choose. Finished arms lie under --work and are not run again; the results file is written after each,
and a row has the commit that it was made by.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.demo_tuning import preference_rows, prompt_rows
from benchmarks.results_file import result_head
from outerloop.demo.gold import gold_score
from outerloop.demo.settings import FIRST_POLICY, OVEROPTIMISED, REWARD_MODEL
from outerloop.demo.world import DemoPrompt, demonstrations, prompts
from training.contracts import (
    CONFIGS,
    RECIPE_MODULES,
    InputRef,
    JsonContract,
    PpoConfig,
    RunKind,
    RunManifest,
    RunSpec,
    SamplePairsConfig,
    Sampling,
    SftPhase,
    json_sha256,
)
from training.core.run.run_directory import recipe_main
from training.digests import path_sha256
from training.recipes import ppo
from web.files import file_write

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "methods.json"
KL_BUDGET, TIMES = 2.0, 4.0
LABELS, PROMPTS = 800, 900
SAMPLING = Sampling(max_new_tokens=40, temperature=1.0, top_k=0, top_p=1.0, batch_size=256)

POLICY = replace(
    FIRST_POLICY,
    model=replace(FIRST_POLICY.model, hidden_size=64, layers=2, feed_forward=160),
    phases=(
        SftPhase(data="phase1", steps=900, learning_rate=4e-3),
        SftPhase(data="phase2", steps=600, learning_rate=2e-3),
    ),
)
REWARD = replace(REWARD_MODEL, members=3, packed=True)
ARM = replace(
    OVEROPTIMISED.ppo,
    updates=20,
    prompts_per_update=96,
    epochs=1,
    mini_batches=2,
    micro_batch_size=96,
    warmup_updates=1,
    policy_learning_rate=1.2e-3,
    value_learning_rate=1.5e-3,
    sampling=SAMPLING,
    packed=True,
    exact_kl_rollouts=0,
    checkpoint_every=100,
)
PAIRS = {"prompts_per_update": ARM.prompts_per_update // 2, "completions_per_prompt": 2}
GROUPS = {"prompts_per_update": ARM.prompts_per_update // 4, "completions_per_prompt": 4}
PAR = {"reward_shaping": "preference_as_reward"}
METHODS: dict[str, dict[str, Any]] = {
    "gae": {},
    "rloo": {"advantage": "rloo", **GROUPS},
    "grpo": {"advantage": "grpo", **GROUPS},
    "reinforce_plus_plus": {"advantage": "reinforce_plus_plus"},
    "p3o": {"advantage": "p3o", **PAIRS},
    "gradient penalty": {"gradient_penalty": 0.1, "gradient_probe": 0.1},
    "worst": {"reward_combination": "worst"},
    "mean_minus_variance": {"reward_combination": "mean_minus_variance"},
    "soft_worst": {"reward_combination": "soft_worst", "pessimism_temperature": 0.5},
    "par": PAR,
    "par rloo": PAR | {"advantage": "rloo", **GROUPS},
    "par worst": PAR | {"reward_combination": "worst"},
    "kl price": {"kl": {"beta": 0.07}},
    "lagrangian": {"kl": {"kind": "lagrangian", "beta": 0.07, "target": KL_BUDGET, "rate": 0.05}},
}
"""What each changes of `ARM`."""
MEASURED = ("kl_k1", "reward_train", "reward_held_out", "response_length")
Floats = np.ndarray[Any, np.dtype[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[211, 223, 227, 229, 233])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "methods")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--worlds", action="store_true", help="make the worlds and train nothing")
    arguments = parser.parse_args()
    policy = first_policy(arguments.work)
    for seed in arguments.seeds:
        world = world_make(arguments.work / str(seed), seed, policy)
        for method in () if arguments.worlds else arguments.methods:
            document = _document(arguments.results)
            document["arms"][f"{method} {seed}"] = arm_run(world, method) | {
                "commit": document["commit"]
            }
            file_write(arguments.results, json.dumps(document, indent=1) + "\n")
    print(table(_document(arguments.results)["arms"], arguments.methods, arguments.seeds))


def _document(path: Path) -> dict[str, Any]:
    known = json.loads(path.read_text()) if path.exists() else {"arms": {}}
    return result_head() | {"kl_budget": KL_BUDGET, "times": TIMES, "arms": known["arms"]}


# -------------------------------------------------------------------------------- world


@dataclass(frozen=True)
class World:
    """What every arm of a seed begins with; `first` is the gold of the first policy by prompt id."""

    directory: Path
    seed: int
    inputs: dict[str, Path]
    first: dict[str, float]


def first_policy(work: Path) -> Path:
    """The one that all seeds begin with: fine-tuning it is the dearest part, and no part of the question."""
    seed, place = 199, work / "first"
    phases = {f"phase{i}": _rows(place, f"phase{i}", demonstrations(seed, i, 8000)) for i in (1, 2)}
    return recipe_run(place, "sft", seed, phases, POLICY) / "policy"


def world_make(directory: Path, seed: int, policy: Path) -> World:
    asked = prompts(seed, PROMPTS)
    listed = _rows(directory, "prompts", prompt_rows(asked))
    sampled = recipe_run(
        directory,
        "sample_pairs",
        seed,
        {"policy": policy, "prompts": listed},
        SamplePairsConfig(completions_per_prompt=2, sampling=SAMPLING),
    )
    drawn = _drawn(sampled / "completions.jsonl", asked)
    labels = preference_rows(seed, asked[:LABELS], drawn[:LABELS], shuffled=False)
    learned = recipe_run(
        directory,
        "reward_model",
        seed,
        {
            "policy": policy,
            "preferences": _rows(directory, "preferences", labels),
            "prompts": listed,
            "reference_samples": sampled / "completions.jsonl",
        },
        REWARD,
    )
    inputs = {
        "policy": policy,
        "reference": policy,
        "prompts": listed,
        "reward_model": learned / "reward_model",
        "held_out_reward_model": learned / "held_out_reward_model",
    }
    first = {
        prompt.external_id: gold_score(prompt.messages, *texts[0]).total
        for prompt, texts in zip(asked, drawn, strict=True)
    }
    return World(directory, seed, inputs, first)


def _rows(directory: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    path = directory / f"{name}.jsonl"
    file_write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def _drawn(path: Path, asked: Sequence[DemoPrompt]) -> list[list[tuple[str, bool]]]:
    found = {row["prompt_id"]: row["completions"] for row in map(json.loads, path.open())}
    return [[(c["text"], c["ended"]) for c in found[p.external_id]] for p in asked]


def recipe_run(
    place: Path, kind: RunKind, seed: int, inputs: Mapping[str, Path], config: JsonContract
) -> Path:
    """Carry out one order in this process; returns its directory. A finished one is only read."""
    references = {n: InputRef(str(p.resolve()), path_sha256(p)) for n, p in inputs.items()}
    asked = [kind, seed, {n: r.sha256 for n, r in references.items()}, config.to_json()]
    directory = place / f"{kind}-{json_sha256(asked)[:12]}"
    if not (directory / "manifest.json").exists():
        spec = RunSpec(directory.name, kind, seed, references, config.to_json())
        file_write(directory / "spec.json", json.dumps(spec.to_json()))
        began = time.process_time()
        program = importlib.import_module(RECIPE_MODULES[kind])
        entry = getattr(program, "train", program.main)
        with contextlib.redirect_stdout(io.StringIO()):
            status = recipe_main(entry, kind, CONFIGS[kind], [str(directory / "spec.json")])
        if status:
            raise SystemExit(f"{kind} failed; see {directory / 'error.json'}.")
        file_write(directory / "cost.json", json.dumps(time.process_time() - began))
    return directory


# ---------------------------------------------------------------------------------- arm


def arm_run(world: World, method: str) -> dict[str, Any]:
    config = PpoConfig.from_json(ARM.to_json() | METHODS[method])
    with _gold_recorded(world) as rows:
        directory = recipe_run(world.directory, "ppo", world.seed, world.inputs, config)
    path = directory / "gold.json"
    if rows:
        file_write(path, json.dumps(rows))
    measured = json.loads(path.read_text())
    manifest = RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))
    seconds = json.loads((directory / "cost.json").read_text())
    return summary(measured) | {
        "seconds": round(seconds, 1),
        "stopped_by": manifest.results["stopped_by"],
    }


@contextlib.contextmanager
def _gold_recorded(world: World) -> Iterator[list[dict[str, float]]]:
    """While open, every rollout of PPO leaves a row: its gold beside what the run itself measures."""
    rows: list[dict[str, float]] = []
    collect = ppo.collect

    def recorded(parts: Any, progress: Any, update: int) -> Any:
        rollout = collect(parts, progress, update)
        written = zip(rollout.prompts, rollout.episodes.texts, rollout.episodes.ended, strict=True)
        gaps = np.array(
            [
                gold_score(p.messages, text, end).total - world.first[p.id]
                for p, text, end in written
            ]
        )
        wins = np.where(np.abs(gaps) < 1e-9, 0.5, gaps > 0)
        row = {name: rollout.metrics[name] or 0.0 for name in MEASURED}
        rows.append(row | {"gain": float(gaps.mean()), "win_rate": float(wins.mean())})
        return rollout

    ppo.collect = recorded
    try:
        yield rows
    finally:
        ppo.collect = collect


def summary(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The line of the table that one arm gives; see the head of this file for what is what."""
    columns = {name: _smoothed([row[name] for row in rows]) for name in rows[0]}
    kl, gain = columns["kl_k1"], columns["gain"]
    past = np.nonzero(kl >= TIMES * KL_BUDGET)[0]
    end = int(past[0]) if len(past) else len(kl) - 1
    top = int(np.argmax(gain[: end + 1]))
    kept = float(gain[end] / gain[top]) if gain[top] > 0 else None  # of nothing, nothing is kept
    found: dict[str, Any] = {
        "kept": kept,
        "reached": bool(len(past)),
        "updates": len(rows) - 1,
        "end": end,
    }
    for name, at in (("peak", top), ("end", end)):
        found |= {f"{column}_{name}": float(columns[column][at]) for column in columns}
    return {n: round(v, 4) if isinstance(v, float) else v for n, v in found.items()}


def _smoothed(values: Sequence[float]) -> Floats:
    """Means over each value and its two neighbours; of two at both ends."""
    padded = np.pad(np.asarray(values, float), 1, constant_values=np.nan)
    means: Floats = np.nanmean(np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1)
    return means


# -------------------------------------------------------------------------------- table

COLUMNS = (
    ("gain_peak", "peak gain"),
    ("win_rate_peak", "win rate there"),
    ("kl_k1_peak", "KL there"),
    ("gain_end", "gain at the end"),
    ("win_rate_end", "win rate there"),
    ("kl_k1_end", "KL there"),
    ("reward_train_end", "training reward"),
    ("reward_held_out_end", "held-out reward"),
    ("seconds", "seconds"),
)


def table(arms: Mapping[str, Any], methods: Sequence[str], seeds: Sequence[int]) -> str:
    """One line a method: means over its seeds with half their 95 % t interval, and what each seed kept."""
    heads = ["method", *(head for _, head in COLUMNS), "kept by seed (*: 8 nats not reached)"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for method in methods:
        rows = [arms[f"{method} {seed}"] for seed in seeds if f"{method} {seed}" in arms]
        if rows:
            cells = [_mean([row[column] for row in rows]) for column, _ in COLUMNS]
            each = ", ".join(_kept(row) for row in rows)
            lines.append("| " + " | ".join([f"`{method}`", *cells, each]) + " |")
    return "\n".join(lines)


def _kept(row: Mapping[str, Any]) -> str:
    said = "no peak" if row["kept"] is None else f"{row['kept']:.2f}"
    return said + ("" if row["reached"] else "*")


def _mean(values: Sequence[float]) -> str:
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.2f}"
    _, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stats.sem(values))
    return f"{mean:.2f} (± {high - mean:.2f})"


if __name__ == "__main__":
    main()
