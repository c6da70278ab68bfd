"""PPO, DPO and best-of-n side by side: one first policy, one set of labels, one reward model a seed.

    python benchmarks/demo_seeds.py --arms trained --seeds 11 23 37
    python benchmarks/optimisers.py --seeds 11 23 37

The first line leaves finished demos under var/seeds; the second takes round 1 of each: its first policy,
its snapshot of labels, its reward models, its prompts, and its PPO run, which is the first arm. Every
other arm trains on exactly these and is then sampled on the round's evaluation prompts with the same
random numbers. The hidden gold, which no arm has seen, says which candidate beats the first policy.
Processor seconds are those of the training program and its launcher, on one thread; of the demo's PPO
runs only wall seconds are known. Finished arms are kept under --work and not run again; with --again-ppo
PPO is trained anew as well.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evaluation.contracts import EvaluatePolicyConfig, Interval, PolicyMeasurements
from evaluation.statistics.intervals import cluster_mean_interval
from outerloop.demo.gold import gold_score
from outerloop.demo.settings import DEFAULT, DemoSettings, with_optimizer
from outerloop.demo.world import fact_asked
from training.contracts import (
    RECIPE_MODULES,
    InputRef,
    JsonContract,
    Optimizer,
    RunKind,
    RunManifest,
    RunSpec,
    json_sha256,
)

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "optimisers.json"
ARMS: dict[str, tuple[Optimizer, bool]] = {
    "ppo": ("ppo", False),
    "dpo": ("dpo", False),
    "best_of_n": ("best_of_n", False),
    "ppo-lora": ("ppo", True),
    "dpo-lora": ("dpo", True),
    "best_of_n-lora": ("best_of_n", True),
}
Inputs = dict[str, InputRef]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 23, 37])
    parser.add_argument(
        "--arms", nargs="+", choices=list(ARMS), default=["ppo", "dpo", "best_of_n", "dpo-lora"]
    )
    parser.add_argument("--demos", type=Path, default=ROOT / "var" / "seeds")
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "optimisers")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--again-ppo", action="store_true", help="do not take the demo's PPO run")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD.PATH=JSON")
    arguments = parser.parse_args()
    document = _document(arguments.results, arguments.set)
    for arm in arguments.arms:
        for seed in arguments.seeds:
            found = arm_run(arguments, arm, seed)
            document["arms"][f"{arm} {seed}"] = found
            arguments.results.parent.mkdir(parents=True, exist_ok=True)
            arguments.results.write_text(json.dumps(document, indent=1) + "\n")
            print(f"{arm} {seed}: {json.dumps(found)}", flush=True)
    print(table(document["arms"], arguments.arms, arguments.seeds))


def _document(path: Path, changes: Sequence[str]) -> dict[str, Any]:
    arms = json.loads(path.read_text())["arms"] if path.exists() else {}
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "commit": done.stdout.strip(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}, no GPU, one thread an arm",
        "python": platform.python_version(),
        "changes": list(changes),
        "arms": arms,
    }


# ------------------------------------------------------------------- what the demo left


@dataclass(frozen=True)
class World:
    """Round 1 of one finished demo: what trains a policy, and what it is then asked."""

    training: Inputs
    preferences: InputRef
    evaluation_prompts: InputRef
    seed: int
    ppo: Path
    judged: Path


def world_open(demos: Path, seed: int) -> World:
    """Round 1 of the ordinary demo of `seed`, found by its PPO run."""
    runs = [spec for spec in _specs(demos / str(seed)) if spec[1].seed == seed * 1000 + 1]
    ppo = [
        (directory, spec)
        for directory, spec in runs
        if spec.kind == "ppo" and spec.config["kl"] == DEFAULT.ppo.kl.to_json()
    ]
    for directory, spec in ppo:
        reward = Path(spec.inputs["reward_model"].path)
        learned = [s for at, s in runs if s.kind == "reward_model" and at in reward.parents]
        judged = [
            (at, s)
            for at, s in runs
            if s.kind == "evaluate_policy" and directory in Path(s.inputs["candidate"].path).parents
        ]
        if learned and judged:
            return World(
                training={name: spec.inputs[name] for name in TRAINING_INPUTS},
                preferences=learned[0].inputs["preferences"],
                evaluation_prompts=judged[0][1].inputs["prompts"],
                seed=spec.seed,
                ppo=directory,
                judged=judged[0][0],
            )
    raise SystemExit(
        f"{demos / str(seed)} holds no finished round 1 of an ordinary demo: run "
        f"python benchmarks/demo_seeds.py --arms trained --seeds {seed} first."
    )


TRAINING_INPUTS = ("policy", "reference", "prompts", "reward_model", "held_out_reward_model")


def _specs(place: Path) -> list[tuple[Path, RunSpec]]:
    found = []
    for manifest in sorted(place.glob("artifacts/runs/*/manifest.json")):
        document = json.loads((manifest.parent / "spec.json").read_text())
        found.append((manifest.parent, RunSpec.from_json(document)))
    return found


# --------------------------------------------------------------------------------- arms


def arm_run(arguments: argparse.Namespace, arm: str, seed: int) -> dict[str, Any]:
    """Train, sample, and judge by the gold; the numbers of one line of the table."""
    world = world_open(arguments.demos, seed)
    if arm == "ppo" and not arguments.again_ppo:
        return _numbers(world.ppo, world.judged)
    optimizer, lora = ARMS[arm]
    settings = with_optimizer(DEFAULT, optimizer, lora=lora)
    config = _changed(_config(settings, optimizer), optimizer, arguments.set)
    inputs = dict(world.training)
    if optimizer == "dpo":
        inputs["preferences"] = world.preferences
    directory, manifest = program(arguments.work, optimizer, world.seed, inputs, config)
    policy = manifest.artifact("policy")
    judged, _ = program(
        arguments.work,
        "evaluate_policy",
        world.seed,
        {
            "candidate": InputRef(str(directory / policy.path), policy.sha256),
            "incumbent": world.training["policy"],
            "reference": world.training["reference"],
            "reward_model": world.training["reward_model"],
            "held_out_reward_model": world.training["held_out_reward_model"],
            "prompts": world.evaluation_prompts,
        },
        EvaluatePolicyConfig(
            sampling=DEFAULT.sample_pairs.sampling, max_prompt_tokens=DEFAULT.ppo.max_prompt_tokens
        ),
    )
    return _numbers(directory, judged)


def _config(settings: DemoSettings, optimizer: Optimizer) -> JsonContract:
    return {"ppo": settings.ppo, "dpo": settings.dpo, "best_of_n": settings.best_of_n}[optimizer]


def _changed(config: JsonContract, optimizer: str, changes: Sequence[str]) -> JsonContract:
    """`--set dpo.beta=0.05` reaches the arms of DPO."""
    for change in changes:
        path, _, value = change.partition("=")
        kind, _, name = path.partition(".")
        if kind == optimizer:
            config = replace(config, **{name: json.loads(value)})  # type: ignore[type-var]
    return config


def program(
    work: Path, kind: RunKind, seed: int, inputs: Mapping[str, InputRef], config: JsonContract
) -> tuple[Path, RunManifest]:
    """Carry out one order in a folder named by what it asks; a finished one is only read."""
    asked = [kind, seed, {name: ref.sha256 for name, ref in inputs.items()}, config.to_json()]
    directory = (work / f"{kind}-{seed}-{json_sha256(asked)[:12]}").resolve()
    if not (directory / "manifest.json").exists():
        directory.mkdir(parents=True, exist_ok=True)
        spec = RunSpec(directory.name, kind, seed, dict(inputs), config.to_json())
        (directory / "spec.json").write_text(json.dumps(spec.to_json()))
        seconds = _processor_seconds(directory, RECIPE_MODULES[kind])
        (directory / "cost.json").write_text(json.dumps({"processor_seconds": seconds}))
    return directory, RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))


def _processor_seconds(directory: Path, module: str) -> float:
    """Start a recipe on one thread and wait for it; ends the benchmark where the recipe fails."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OUTERLOOP_THREADS": "1"}
    with (directory / "child.log").open("ab") as log:
        child = subprocess.Popen(
            [*launch, "-m", module, str(directory / "spec.json")],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**environment, "PYTHONPATH": str(ROOT)},
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if not (directory / "manifest.json").exists():
        raise SystemExit(f"{module} failed; see {directory / 'child.log'}.")
    return round(usage.ru_utime + usage.ru_stime, 1)


# ------------------------------------------------------------------------------ numbers


def _numbers(directory: Path, judged: Path) -> dict[str, Any]:
    manifest = RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))
    measured = PolicyMeasurements.from_json(json.loads((judged / "measurements.json").read_text()))
    cost = directory / "cost.json"
    spent = json.loads(cost.read_text())["processor_seconds"] if cost.exists() else None
    return {
        "gold_win_rate": _interval(_gold_win_rate(judged / "samples.jsonl")),
        "kl_nats": _interval(measured.kl["reference"]),
        "train_gain": _interval(measured.train_gain),
        "held_out_gain": _interval(measured.held_out_gain),
        "length_ratio": _interval(measured.length_ratio),
        "processor_seconds": spent,
        "wall_seconds": round(manifest.seconds, 1),
        "steps": manifest.results["updates"],
        "stopped_by": manifest.results["stopped_by"],
        "trained_parameters": manifest.results.get("trained_parameters"),
    }


def _gold_win_rate(samples: Path) -> Interval:
    """Wins of candidate against first policy by the hidden gold, clustered by fact."""
    wins, facts = [], []
    for row in map(json.loads, samples.read_text().splitlines()):
        candidate, first = (
            gold_score(row["messages"], row[side]["text"], row[side]["ended"]).total
            for side in ("candidate", "incumbent")
        )
        wins.append(float(np.sign(candidate - first)) / 2 + 0.5)
        facts.append(fact_asked(row["messages"]).name)
    return cluster_mean_interval(wins, facts)


def _interval(found: Interval) -> list[float]:
    """[estimate, low, high] to four digits."""
    return [round(value, 4) for value in (found.estimate, found.low, found.high)]


COLUMNS = (
    ("gold_win_rate", "gold win rate"),
    ("kl_nats", "KL"),
    ("train_gain", "train gain (z)"),
    ("held_out_gain", "held-out gain (z)"),
)


def table(found: Mapping[str, Any], arms: Sequence[str], seeds: Sequence[int]) -> str:
    """One line an arm: the mean over seeds with its 95 % t interval, and the seeds one by one."""
    heads = ["arm", *(head for _, head in COLUMNS), "seconds", "gold win rate by seed"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for arm in arms:
        rows = [found[f"{arm} {seed}"] for seed in seeds if f"{arm} {seed}" in found]
        if not rows:
            continue
        cells = [_mean([_estimate(row[name]) for row in rows]) for name, _ in COLUMNS]
        cells.append(_seconds(rows))
        each = ", ".join(f"{row['gold_win_rate'][0]:.2f}" for row in rows)
        lines.append("| " + " | ".join([arm, *cells, each]) + " |")
    return "\n".join(lines)


def _seconds(rows: Sequence[Mapping[str, Any]]) -> str:
    """Processor seconds where they are known of every seed, else wall seconds, which says so."""
    known = [row["processor_seconds"] for row in rows]
    if None not in known:
        return f"{np.mean(known):.0f} of processor"
    return f"{np.mean([row['wall_seconds'] for row in rows]):.0f} of wall"


def _estimate(value: float | list[float]) -> float:
    return value[0] if isinstance(value, list) else value


def _mean(values: Sequence[float]) -> str:
    mean = float(np.mean(values))
    digits = 0 if mean > 20 else 2
    if len(values) < 2:
        return f"{mean:.{digits}f}"
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stats.sem(values))
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
