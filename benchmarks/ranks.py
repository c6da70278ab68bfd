"""P10: two processes on one CPU learn what one learns; what that costs or saves in time.

    python -m benchmarks.ranks

PPO, a reward model and supervised fine-tuning of a small model, as one process, as two that speak through
gloo (training/configs/cpu-two.yaml), and as two that each hold a part of what learns (cpu-two-fsdp.yaml);
each process on one thread. Each takes five steps (five updates for PPO). Printed: the largest difference of
any weight from one process's, whether it is within 1e-5, and seconds per update or step.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from training.contracts import (
    RECIPE_MODULES,
    InputRef,
    ModelSource,
    PpoConfig,
    RewardModelConfig,
    RunSpec,
    Sampling,
    SftConfig,
    SftPhase,
)
from training.core.model.loading import model_save, policy_load
from training.digests import path_sha256

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ranks.json"
TOLERANCE = 1e-5
STEPS = 5
WORDS = "red green blue one two three cat dog sun moon yes no why what how tell me a story of the"
CONFIGS = {"one": "cpu", "two": "cpu-two", "two, sharded": "cpu-two-fsdp"}
PROCESSES = {"one": 1, "two": 2, "two, sharded": 2}
PHASES = {"ppo": "ppo", "reward_model": "train member_0", "sft": "train"}


@dataclass(frozen=True)
class Timing:
    """`seconds` of the second to the last step, so that starting a program is not in it."""

    processes: str
    steps: int
    seconds_per_step: float


def colour_wish(messages: list[dict[str, str]], text: str) -> float:
    """A scripted reward that a random policy meets now and then: a colour among the first words."""
    return float(any(word in text.split()[:8] for word in ("red", "green", "blue")))


def main() -> int:
    argparse.ArgumentParser(description="Two processes against one.").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        inputs = _inputs(place)
        rows = [
            _ppo(place, inputs),
            _reward_model(place, inputs),
            _fine_tuning(place, inputs),
        ]
    _print(rows)
    _keep(rows)
    found = [difference for row in rows for difference in row["largest_difference"].values()]
    return 0 if max(found) <= TOLERANCE else 1


# ---------------------------------------------------------------------------- material


def _inputs(place: Path) -> dict[str, Path]:
    source = ModelSource(kind="fresh", hidden_size=96, layers=3, heads=4, max_positions=128)
    policy = place / "policy"
    policy.mkdir()
    model_save(policy_load(source, {}, texts=[WORDS], seed=0), policy)
    generator, words = random.Random(0), WORDS.split()
    texts = [" ".join(generator.choices(words, k=12)) for _ in range(128)]
    prompts = [
        {"id": f"p{i}", "group": f"g{i}", "messages": [{"role": "user", "content": text}]}
        for i, text in enumerate(texts)
    ]
    pairs = [
        {
            **row, "id": f"q{i}", "group": f"q{i}", "preference": 1.0, "strength": 2.0,
            "split": ("train", "train", "train", "validation", "test")[i % 5],
            "completions": ["the blue sun", "no " * generator.randrange(1, 9)],
        }
        for i, row in enumerate(prompts * 2)
    ]  # fmt: skip
    shown = [
        {"messages": [*row["messages"], {"role": "assistant", "content": texts[-1 - i][: 5 + i]}]}
        for i, row in enumerate(prompts)
    ]
    return {
        "policy": policy,
        "demonstrations": _lines(place / "demonstrations.jsonl", shown),
        "prompts": _lines(place / "prompts.jsonl", prompts),
        "preferences": _lines(place / "preferences.jsonl", pairs),
    }


def _lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# -------------------------------------------------------------------------------- runs


def _ppo(place: Path, inputs: Mapping[str, Path]) -> dict[str, Any]:
    config = PpoConfig(
        updates=STEPS,
        prompts_per_update=64,
        policy_learning_rate=1e-3,
        sampling=Sampling(max_new_tokens=24),
        reward_function="benchmarks.ranks:colour_wish",
    )
    named = {
        "policy": inputs["policy"],
        "reference": inputs["policy"],
        "prompts": inputs["prompts"],
    }
    return _compare(place, "ppo", config.to_json(), named, "policy/model.safetensors")


def _reward_model(place: Path, inputs: Mapping[str, Path]) -> dict[str, Any]:
    config = RewardModelConfig(
        backbone=ModelSource(),
        members=1,
        epochs=1,
        batch_size=26,  # of 113 pairs outside the held-out model's groups: five steps
        max_length=64,
        log_every=1,
    )
    named = {"policy": inputs["policy"], "preferences": inputs["preferences"]}
    weights = "reward_model/member_0/model.safetensors"
    return _compare(place, "reward_model", config.to_json(), named, weights)


def _fine_tuning(place: Path, inputs: Mapping[str, Path]) -> dict[str, Any]:
    phase = SftPhase(
        "demonstrations", steps=STEPS, learning_rate=1e-3, batch_size=16, warmup_steps=2
    )
    config = SftConfig(ModelSource(), (phase,), max_length=64, log_every=1)
    named = {name: inputs[name] for name in ("policy", "demonstrations")}
    return _compare(place, "sft", config.to_json(), named, "policy/model.safetensors")


def _compare(
    place: Path, kind: Any, config: dict[str, Any], inputs: Mapping[str, Path], weights: str
) -> dict[str, Any]:
    timings = []
    for number, processes in enumerate(CONFIGS):
        directory = place / f"{kind}-{number}"
        directory.mkdir()
        references = {name: InputRef(str(p), path_sha256(p)) for name, p in inputs.items()}
        spec = RunSpec("ranks", kind, 7, references, config)
        (directory / "spec.json").write_text(json.dumps(spec.to_json()))
        _launch(kind, directory, processes)
        timings.append(_timing(directory, kind, processes))
        if timings[-1].steps != STEPS:
            raise RuntimeError(f"{kind} took {timings[-1].steps} steps instead of {STEPS}.")
    one, *others = (load_file(place / f"{kind}-{n}" / weights) for n in range(len(CONFIGS)))
    largest = {
        name: max(float((one[key] - other[key]).abs().max()) for key in one)
        for name, other in zip(list(CONFIGS)[1:], others, strict=True)
    }
    return {
        "recipe": kind,
        "parameters": sum(tensor.numel() for tensor in one.values()),
        "largest_difference": largest,
        "timings": [vars(timing) for timing in timings],
    }


def _launch(kind: str, directory: Path, processes: str) -> None:
    config = ROOT / "training" / "configs" / f"{CONFIGS[processes]}.yaml"
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    subprocess.run(
        [*launcher, "-m", RECIPE_MODULES[kind], str(directory / "spec.json")],
        check=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OUTERLOOP_THREADS": "1"},
    )
    found = json.loads((directory / "manifest.json").read_text())["environment"]["processes"]
    if found != PROCESSES[processes]:
        raise RuntimeError(f"{PROCESSES[processes]} were asked for, {found} learned.")


def _timing(directory: Path, kind: str, processes: str) -> Timing:
    """From the first reported step to the last one of the first model that is trained."""
    lines = map(json.loads, (directory / "events.jsonl").read_text().splitlines())
    moments = [datetime.fromisoformat(e["at"]) for e in lines if e["phase"] == PHASES[kind]]
    spent = (moments[-1] - moments[0]).total_seconds()
    return Timing(processes, len(moments), spent / (len(moments) - 1))


# ------------------------------------------------------------------------------ report


def _print(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'recipe':14}{'parameters':>12}  {'processes':14}{'difference':>12}{'<= 1e-5':>9}{'a step':>12}"
    )
    for row in rows:
        for timing in row["timings"]:
            name = timing["processes"]
            difference = row["largest_difference"].get(name)
            told = "" if difference is None else f"{difference:.1e}"
            within = "" if difference is None else "yes" if difference <= TOLERANCE else "NO"
            print(
                f"{row['recipe']:14}{row['parameters']:>12,}  {name:14}{told:>12}{within:>9}"
                f"{timing['seconds_per_step']:>10.2f} s"
            )


def _keep(rows: list[dict[str, Any]]) -> None:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    document = {
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} logical processors, CPU only",
        "load_average": round(os.getloadavg()[0], 1),
        "seeds": [7],
        "tolerance": TOLERANCE,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
