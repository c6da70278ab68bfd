"""PPO with reward models as adapters on one base: its peak memory, and what such reward models know.

    python -m benchmarks.adapter_memory [--parts memory accuracy] [--work FOLDER] [--seeds 1 2 3]

memory     one PPO update of a fresh Llama with two reward models and a held-out one, its peak above what the
           program itself holds, in multiples of the base's weights; networks whole, by adapters, and on one base
accuracy   in the demo's world, on the same labels: reward models trained whole and as adapters, on fresh pairs

Both start the product's own recipes on one thread. A part that is asked for is measured again where its runs
are not below --work; the others stay as they are. Results: benchmarks/results/adapter_memory.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.peers import RESULTS, ROOT, results_write, versions
from benchmarks.real_runs import Done, recipe_run
from outerloop.selftest.bench import Bench
from outerloop.selftest.labels import preference_rows
from outerloop.selftest.learning import World
from outerloop.selftest.sizes import NOISY, Sizes
from tests.support import ppo_runs
from training.contracts import (
    RECIPE_MODULES,
    AdapterConfig,
    ModelSource,
    PpoConfig,
    RewardModelConfig,
)
from training.core.model.loading import policy_load

NAME = "adapter_memory"
MB = 2**20
LORA = AdapterConfig(kind="lora", rank=8, alpha=16.0)
BASE = ModelSource(
    kind="fresh", hidden_size=512, layers=10, heads=8, feed_forward=1408, max_positions=64
)
"""32 million weights below a small table of words, so that weights and not activations count."""

LABELS, FRESH = 1000, 600
STEPS = (300, 200)  # of the first policy's two phases: a third of the self-test's
RATES = (10,)
"""Of the adapters, in multiples of the rate of whole reward models."""


def main() -> None:
    arguments = parse()
    os.environ["OMP_NUM_THREADS"] = os.environ["OUTERLOOP_THREADS"] = "1"
    target = RESULTS / f"{NAME}.json"
    found = dict[str, Any]()
    for name in arguments.parts:
        found[name] = PARTS[name](arguments.work.resolve(), arguments.seeds)
        before = json.loads(target.read_text())["parts"] if target.exists() else {}
        parts = before | found
        document = {"versions": versions(None, ["torch", "transformers", "peft"]), "parts": parts}
        results_write(NAME, document, path=target)
    print("\n\n".join(TABLES[name](found[name]) for name in arguments.parts))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--work", type=Path, default=ROOT / "var" / NAME)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    return parser.parse_args()


# ----------------------------------------------------------------------------- memory


def memory(work: Path, _: list[int]) -> dict[str, Any]:
    folder = work / "memory"
    for name in ("peft", RECIPE_MODULES["ppo"]):  # the program's own memory, not that of a run
        importlib.import_module(name)
    shared = memory_inputs(folder)
    whole, adapted = (
        {"reward_model": folder / name, "held_out_reward_model": folder / f"{name}_held_out"}
        for name in ("whole", "adapted")
    )
    arms: dict[str, tuple[dict[str, Any], Mapping[str, Path]]] = {
        "all whole": ({"adapter": AdapterConfig()}, whole),
        "policy by adapter": ({"critic_adapter": False}, whole),
        "policy and critic by adapters": ({}, whole),
        "all by adapters on one base": ({}, adapted),
    }
    weights = (folder / "policy" / "model.safetensors").stat().st_size / MB
    told = {}
    for name, (changes, models) in arms.items():
        done = recipe_run(
            "ppo",
            ppo_config(**changes),
            {**shared, **models},
            folder / name.replace(" ", "-"),
            seed=7,
        )
        told[name] = memory_told(done, weights)
        print(f"  {name}: {json.dumps(told[name])}", flush=True)
    return {"base_weights": round(weights * MB / 4), "weights_mb": round(weights, 1), "arms": told}


def memory_inputs(folder: Path) -> dict[str, Path]:
    """Policy and prompts, and reward models of both kinds, whose heads and adapters are as drawn."""
    policy = folder / "policy"
    if not (folder / "prompts.jsonl").exists():
        texts = [ppo_runs.WORDS, *ppo_runs.QUESTIONS]
        ppo_runs.write_policy(policy, policy_load(BASE, {}, texts=texts, seed=0))
        ppo_runs.write_reward_model(folder / "whole", members=2, seed=1)
        ppo_runs.write_reward_model(folder / "whole_held_out", members=1, seed=9)
        ppo_runs.write_adapted_reward_model(folder / "adapted", members=2, seed=1)
        ppo_runs.write_adapted_reward_model(folder / "adapted_held_out", members=1, seed=9)
        ppo_runs.write_prompts(folder / "prompts.jsonl")
    return {"policy": policy, "reference": policy, "prompts": folder / "prompts.jsonl"}


def ppo_config(**changes: Any) -> PpoConfig:
    settings: dict[str, Any] = {"updates": 1, "prompts_per_update": 8, "micro_batch_size": 2}
    settings |= {
        "reward_function": "",
        "adapter": LORA,
        "evaluate_every": 1,
        "exact_kl_rollouts": 4,
    }
    return ppo_runs.tiny_config(**(settings | changes))


def memory_told(done: Done, weights_mb: float) -> dict[str, Any]:
    """Peak of the process, and the run's own estimate, in MB and in multiples of the weights."""
    estimate = done.events("memory")[0]["metrics"]
    expected = estimate["total_gb"] * 1e9 / MB
    return {
        "peak_mb": round(done.peak_mb),
        "program_mb": round(done.base_mb),
        "peak_multiple": round((done.peak_mb - done.base_mb) / weights_mb, 2),
        "estimate_multiple": round(expected / weights_mb, 2),
        "estimate_weights_multiple": round(estimate["weights_gb"] * 1e9 / MB / weights_mb, 2),
        "seconds": round(done.seconds),
    }


def memory_table(part: Mapping[str, Any]) -> str:
    head = "| networks | peak above the program, in weights of the base | estimate |\n|---|---|---|"
    rows = [
        f"| {name} | {arm['peak_multiple']} | {arm['estimate_multiple']} |"
        for name, arm in part["arms"].items()
    ]
    return "\n".join([head, *rows])


# --------------------------------------------------------------------------- accuracy


def accuracy(work: Path, seeds: list[int]) -> dict[str, Any]:
    arms = accuracy_arms(Sizes().reward)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in arms}
    for seed in seeds:
        with Bench(work / "accuracy") as bench:
            world = World(bench, seed, sizes())
            inputs = {"policy": world.policy, "preferences": labels_file(world)}
            for name, config in arms.items():
                told = bench.run("reward_model", seed, inputs, config).manifest.results["test"]
                kept = {k: told["ensemble"][k] for k in ("accuracy", "nll_calibrated")}
                held_out = {"held_out_accuracy": told["held_out_model"]["accuracy"]}
                found[name].append({"seed": seed} | kept | held_out)
                print(f"  {seed} {name}: {json.dumps(found[name][-1])}", flush=True)
    return {
        "steps": STEPS,
        "labels": LABELS,
        "fresh_pairs": FRESH,
        "adapter": LORA.to_json(),
        "arms": found,
    }


def sizes() -> Sizes:
    found = Sizes()
    phases = zip(found.sft.phases, STEPS, strict=True)
    sft = replace(found.sft, phases=tuple(replace(phase, steps=steps) for phase, steps in phases))
    return replace(found, prompts=LABELS + FRESH, sft=sft)


def accuracy_arms(base: RewardModelConfig) -> dict[str, RewardModelConfig]:
    """One member each and the held-out one, which the recipe always trains, on a quarter of the prompts."""
    whole = replace(base, members=1, packed=False)
    return {"whole": whole} | {
        f"adapter, rate x{rate}": replace(
            whole, adapter=LORA, learning_rate=rate * whole.learning_rate
        )
        for rate in RATES
    }


def labels_file(world: World) -> Path:
    """One noisy label a pair of the first policy's answers; only fresh prompts are tested on."""
    rows = preference_rows(world.seed, NOISY, world.learned_from, world.pairs())
    for number, row in enumerate(rows):
        row["split"] = "test" if number >= LABELS else "validation" if number % 20 == 1 else "train"
    return world.bench.rows("preferences", rows)


def accuracy_table(part: Mapping[str, Any]) -> str:
    head = "| reward models | accuracy | of the held-out one | nats a pair |\n|---|---|---|---|"
    rows = []
    for name, runs in part["arms"].items():
        cells = [
            _mean([run[key] for run in runs])
            for key in ("accuracy", "held_out_accuracy", "nll_calibrated")
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([head, *rows])


def _mean(values: list[float]) -> str:
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


PARTS: dict[str, Callable[[Path, list[int]], dict[str, Any]]] = {
    "memory": memory,
    "accuracy": accuracy,
}
TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "memory": memory_table,
    "accuracy": accuracy_table,
}


if __name__ == "__main__":
    main()
