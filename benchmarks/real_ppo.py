"""PPO of the benchmark on a real model by its run specs: over-optimisation, and memory."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from benchmarks import real_rows
from benchmarks.real_runs import Done, events_read, recipe_run
from benchmarks.real_sizes import SEED, Bench
from tests.support.ppo_runs import write_reward_model
from training.contracts import AdapterConfig, KlControl, PpoConfig, Sampling
from training.core.data.tokenizers import prompt_encode
from training.core.reward.scoring import SETTINGS

SHOWN = (
    "reward_train", "reward_held_out", "ensemble_std", "kl_k1", "kl_exact", "entropy", "response_length", "eos_rate",
    "repetition", "tokens_per_second_rollout", "tokens_per_second_score", "tokens_per_second_train", "seconds",
)  # fmt: skip


def updates_told(directory: Path) -> list[dict[str, float | None]]:
    """A row an update."""
    return [
        {
            name: value and round(value, 4)
            for name in SHOWN
            if (value := event["metrics"].get(name, 0.0)) is not None
        }
        for event in events_read(directory, "ppo")
    ]


def ppo_config(bench: Bench, part: str, **changes: Any) -> PpoConfig:
    """PPO with LoRA, sized for one core. So short a reply seldom ends by itself: nothing is taken for that."""
    sizes = bench.sizes[part]
    return PpoConfig(
        **{
            "updates": sizes.get("updates", 1),
            "prompts_per_update": sizes["prompts_per_update"],
            "epochs": 2,
            "mini_batches": 2,
            "micro_batch_size": 8,
            "policy_learning_rate": 2e-4,
            "value_learning_rate": 1e-3,
            "shared_backbone": True,
            "missing_eos_penalty": 0.0,
            "max_prompt_tokens": sizes["prompt_tokens"],
            "exact_kl_rollouts": 4,
            "checkpoint_every": 5,
            "sampling": Sampling(max_new_tokens=sizes["new_tokens"], batch_size=16),
            "adapter": AdapterConfig(kind="lora"),
        }
        | changes
    )


def round_inputs(bench: Bench) -> dict[str, Path]:
    """What the PPO of the round read."""
    told = bench.work / "round" / "runs.json"
    if not told.exists():
        raise SystemExit("This part goes on from the round: run --parts round first.")
    spec = json.loads(
        (Path(json.loads(told.read_text())["POLICY_TRAINING"]) / "spec.json").read_text()
    )
    return {name: Path(reference["path"]) for name, reference in spec["inputs"].items()}


def overoptimise(bench: Bench) -> dict[str, Any]:
    """The reward models of the round, no price on KL and a higher rate: what the alarms see of it."""
    folder, sizes = bench.work / "overoptimise", bench.sizes["overoptimise"]
    inputs = round_inputs(bench)
    inputs["prompts"] = short_prompts(
        inputs["prompts"],
        bench.smollm2,
        folder / "prompts.jsonl",
        most_tokens=sizes["prompt_tokens"],
    )
    config = ppo_config(
        bench,
        "overoptimise",
        kl=KlControl(beta=0.0),
        policy_learning_rate=1e-3,
        exact_kl_rollouts=2,
    )
    done = recipe_run("ppo", config, inputs, folder / "ppo", seed=SEED)
    return {
        "config": config.to_json(),
        "updates": updates_told(done.directory),
        "stopped_by": done.results["stopped_by"],
        "alarm": done.results["alarm"],
        "took": done.took,
    }


def short_prompts(source: Path, model: Path, target: Path, *, most_tokens: int) -> Path:
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    kept = [row for row in rows if len(prompt_encode(tokenizer, row["messages"])) <= most_tokens]
    return real_rows.rows_write(target, kept)


def memory(bench: Bench) -> dict[str, Any]:
    """One update with two reward models and a held-out one, all on SmolLM2: whole, and with LoRA.

    Only the first of `arms`, where time is short.
    """
    folder, most = bench.work / "memory", bench.size("memory", "prompt_tokens")
    asked = [{"id": row["id"], "messages": row["messages"]} for row in real_rows.harmless()[:400]]
    known = real_rows.rows_write(folder / "all.jsonl", asked)
    prompts = short_prompts(known, bench.smollm2, folder / "prompts.jsonl", most_tokens=most)
    inputs = {
        "policy": bench.smollm2,
        "reference": bench.smollm2,
        "prompts": prompts,
    }
    inputs |= untrained_reward_models(bench, folder)
    whole = {"adapter": AdapterConfig(), "shared_backbone": False}
    arms: dict[str, dict[str, Any]] = {
        "LoRA, shared backbone": {},
        "LoRA, a critic of its own": {"shared_backbone": False},
        "whole copies": whole,
    }
    weights = (bench.smollm2 / "model.safetensors").stat().st_size / 2**20
    told = {}
    for name, changes in itertools.islice(arms.items(), bench.size("memory", "arms")):
        config = ppo_config(bench, "memory", packed=False, **changes)
        done = recipe_run("ppo", config, inputs, folder / name.replace(" ", "-"), seed=SEED)
        told[name] = memory_told(done, weights) | {"updates": updates_told(done.directory)}
        print(f"  {name}: {json.dumps(told[name])}", flush=True)
    return {"weights_mb": round(weights), "arms": told}


def memory_told(done: Done, weights_mb: float) -> dict[str, Any]:
    """Measured and estimated, in MB; in multiples of the base's weights without the program itself."""
    estimate = done.events("memory")[0]["metrics"]
    expected = estimate["total_gb"] * 1e9 / 2**20
    return {
        "peak_mb": round(done.peak_mb),
        "program_mb": round(done.base_mb),
        "peak_multiple": round((done.peak_mb - done.base_mb) / weights_mb, 2),
        "estimate_mb": round(expected),
        "estimate_multiple": round(expected / weights_mb, 2),
        "estimate_gb": {name: round(value, 3) for name, value in estimate.items()},
        "trained_parameters": done.results["trained_parameters"],
        "seconds": round(done.seconds),
    }


def untrained_reward_models(bench: Bench, folder: Path) -> dict[str, Path]:
    """Two members and a held-out model with heads as drawn: what they say does not matter here."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "policy"
    if not base.exists():
        base.symlink_to(bench.smollm2)
    made = {"reward_model": (2, 0), "held_out_reward_model": (1, 9)}
    for name, (members, seed) in made.items():
        if not (folder / name / SETTINGS).exists():
            shutil.rmtree(folder / name, ignore_errors=True)
            write_reward_model(folder / name, members=members, seed=seed)
    return {name: folder / name for name in made}
