"""P10: two processes on one CPU learn what one learns; what that costs or saves in time.

    python -m benchmarks.ranks [--updates 5]

PPO and a reward model on a small model, once as one process and once as two that speak through gloo
(`accelerate launch --config_file training/configs/cpu-two.yaml`), each process on one thread. Printed:
the largest difference between any two weights, whether it is within 1e-5, and seconds per update or step.
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
    InputRef,
    ModelSource,
    PpoConfig,
    RewardModelConfig,
    RunSpec,
    Sampling,
)
from training.core.models import model_save, policy_load
from training.digests import path_sha256

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ranks.json"
TOLERANCE = 1e-5
WORDS = "red green blue one two three cat dog sun moon yes no why what how tell me a story of the"
CONFIGS = {1: "cpu", 2: "cpu-two"}
MODULES = {"ppo": "training.recipes.ppo", "reward_model": "training.recipes.reward_model"}


@dataclass(frozen=True)
class Timing:
    """`seconds` of the second to the last step, so that starting a program is not in it."""

    processes: int
    steps: int
    seconds_per_step: float


def colour_wish(messages: list[dict[str, str]], text: str) -> float:
    """A scripted reward that a random policy meets now and then: a colour among the first words."""
    return float(any(word in text.split()[:8] for word in ("red", "green", "blue")))


def main() -> int:
    parser = argparse.ArgumentParser(description="Two processes against one.")
    parser.add_argument("--updates", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        inputs = _inputs(place)
        rows = [_ppo(place, inputs, options.updates), _reward_model(place, inputs)]
    _print(rows)
    _keep(rows)
    return 0 if all(row["largest_difference"] <= TOLERANCE for row in rows) else 1


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
    return {
        "policy": policy,
        "prompts": _lines(place / "prompts.jsonl", prompts),
        "preferences": _lines(place / "preferences.jsonl", pairs),
    }


def _lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# -------------------------------------------------------------------------------- runs


def _ppo(place: Path, inputs: Mapping[str, Path], updates: int) -> dict[str, Any]:
    config = PpoConfig(
        updates=updates,
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
        backbone=ModelSource(), members=1, epochs=1, batch_size=16, max_length=64, log_every=1
    )
    named = {"policy": inputs["policy"], "preferences": inputs["preferences"]}
    weights = "reward_model/member_0/model.safetensors"
    return _compare(place, "reward_model", config.to_json(), named, weights)


def _compare(
    place: Path, kind: Any, config: dict[str, Any], inputs: Mapping[str, Path], weights: str
) -> dict[str, Any]:
    timings = []
    for processes in CONFIGS:
        directory = place / f"{kind}-{processes}"
        directory.mkdir()
        references = {name: InputRef(str(p), path_sha256(p)) for name, p in inputs.items()}
        spec = RunSpec("ranks", kind, 7, references, config)
        (directory / "spec.json").write_text(json.dumps(spec.to_json()))
        _launch(kind, directory, processes)
        timings.append(_timing(directory, kind, processes))
    one, two = (load_file(place / f"{kind}-{p}" / weights) for p in CONFIGS)
    largest = max(float((one[name] - two[name]).abs().max()) for name in one)
    return {
        "recipe": kind,
        "parameters": sum(tensor.numel() for tensor in one.values()),
        "largest_difference": largest,
        "timings": [vars(timing) for timing in timings],
        "speed_up": timings[0].seconds_per_step / timings[1].seconds_per_step,
    }


def _launch(kind: str, directory: Path, processes: int) -> None:
    config = ROOT / "training" / "configs" / f"{CONFIGS[processes]}.yaml"
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    subprocess.run(
        [*launcher, "-m", MODULES[kind], str(directory / "spec.json")],
        check=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OUTERLOOP_THREADS": "1"},
    )
    found = json.loads((directory / "manifest.json").read_text())["environment"]["processes"]
    if found != processes:
        raise RuntimeError(f"{processes} processes were asked for, {found} learned.")


def _timing(directory: Path, kind: str, processes: int) -> Timing:
    """From the first reported step to the last one of the first model that is trained."""
    lines = map(json.loads, (directory / "events.jsonl").read_text().splitlines())
    phase = "ppo" if kind == "ppo" else "train member_0"
    moments = [datetime.fromisoformat(e["at"]) for e in lines if e["phase"] == phase]
    spent = (moments[-1] - moments[0]).total_seconds()
    return Timing(processes, len(moments), spent / (len(moments) - 1))


# ------------------------------------------------------------------------------ report


def _print(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'recipe':14}{'parameters':>12}{'difference':>12}{'<= 1e-5':>9}{'1 process':>12}{'2':>9}"
    )
    for row in rows:
        one, two = (timing["seconds_per_step"] for timing in row["timings"])
        within = "yes" if row["largest_difference"] <= TOLERANCE else "NO"
        print(
            f"{row['recipe']:14}{row['parameters']:>12,}{row['largest_difference']:>12.1e}{within:>9}"
            f"{one:>10.2f} s{two:>7.2f} s   ({row['speed_up']:.2f} times as fast)"
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
