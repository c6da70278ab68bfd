"""The whole loop on a real model: SmolLM2-135M-Instruct, real votes, the product's own recipes and round.

    OUTERLOOP_REAL_DATA=FOLDER python -m benchmarks.real_policy [--parts reward round overoptimise memory]
        [--resume] [--threads 1] [--set PART.SIZE=NUMBER ...]

reward        reward models on MiniLM and SmolLM2 from real votes, beside length and majority
round         one round of a line on SmolLM2: reward models, PPO with LoRA, the gate with simulated annotators
overoptimise  the same PPO without a price on KL, until an alarm ends it or the updates do
memory        the peak of a PPO update with two reward models and a held-out one, in multiples of the weights

The models come out of packages (`benchmarks.real_models`); the policy's weights are those dequantised
from GGUF. Runs lie below --work; with --resume a part that is in the results is left as it is, and a run
that was killed goes on. Results are written after each part: benchmarks/results/real_policy.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from benchmarks import real_rows
from benchmarks.peers import RESULTS, ROOT, results_write, versions
from benchmarks.real_models import minilm, smollm2
from benchmarks.real_ppo import memory, overoptimise, ppo_config, updates_told
from benchmarks.real_reward import reward, reward_config
from benchmarks.real_runs import Done, events_read, recipe_run
from benchmarks.real_sizes import SEED, SIZES, Bench, sized
from training.contracts import ModelSource, PpoConfig, RewardModelConfig

NAME = "real_policy"


def main() -> None:
    arguments = parse()
    os.environ["OMP_NUM_THREADS"] = os.environ["OUTERLOOP_THREADS"] = str(arguments.threads)
    target = arguments.results or RESULTS / f"{NAME}.json"
    document: dict[str, Any] = {"parts": {}}
    if arguments.resume and target.exists():
        document["parts"] = json.loads(target.read_text())["parts"]
    work = arguments.work.resolve()
    models = work / "models"
    bench = Bench(work, smollm2(models), minilm(models), sized(SIZES, arguments.set))
    for part in arguments.parts:
        if arguments.resume and part in document["parts"]:
            continue
        began = time.monotonic()
        found = PARTS[part](bench)
        head = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seed": SEED,
            "sizes": dict(bench.sizes[part]),
            "threads": arguments.threads,
        }
        document["parts"][part] = head | {"wall_seconds": round(time.monotonic() - began)} | found
        results_write(
            NAME,
            {"versions": versions(None, ["torch", "transformers", "peft"])} | document,
            path=target,
        )
        print(f"{part}: written to {target}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "real")
    parser.add_argument("--results", type=Path, help="where the result goes instead")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="PART.SIZE=NUMBER")
    return parser.parse_args()


# ------------------------------------------------------------------------------ round


def round_(bench: Bench) -> dict[str, Any]:
    from benchmarks import real_line  # loads Django, which the other parts do without

    folder, sizes = bench.work / "round", bench.sizes["round"]
    prompts, pairs, others = real_line.files_write(
        folder,
        AutoTokenizer.from_pretrained(bench.smollm2),
        most_tokens=sizes["prompt_tokens"],
        evaluation_prompts=sizes["evaluation_prompts"],
    )
    annotators = annotators_train(bench, others)
    found = real_line.round_run(
        folder,
        base=bench.smollm2,
        plan=plan_of(bench),
        files=(prompts, pairs),
        annotators=annotators.artifact("reward_model"),
        gate_labels=sizes["gate_labels"],
        seed=SEED,
    )
    runs = found.pop("runs")
    (folder / "runs.json").write_text(json.dumps(runs) + "\n")
    ppo = Path(runs["POLICY_TRAINING"])
    return found | {
        "annotators": {
            "test": annotators.results["test"]["ensemble"],
            "pairs": annotators.results["pairs"],
        },
        "plan": plan_of(replace(bench, minilm=Path("models/minilm"))),
        "updates": updates_told(ppo),
        "memory_gb": events_read(ppo, "memory")[0]["metrics"],
    }


def annotators_train(bench: Bench, others: list[real_rows.Row]) -> Done:
    """The reward model behind the simulated annotators: of conversations that the line does not hold."""
    rows = real_rows.divided(
        [
            {"id": f"other-{number}"} | row
            for number, found in enumerate(others)
            if (row := real_rows.harmless_pair(found, turned=number % 2 == 0)) is not None
        ],
        sizes={"train": bench.size("reward", "minilm_train"), "validation": 80, "test": 200},
        seed=SEED + 1,
    )
    folder = bench.work / "round" / "annotators"
    preferences = real_rows.rows_write(folder / "preferences.jsonl", rows)
    config = reward_config(bench.minilm, small=True, held_out_share=0.05)
    return recipe_run(
        "reward_model", config, {"preferences": preferences}, folder / "train", seed=SEED + 1
    )


def plan_of(bench: Bench) -> dict[str, Any]:
    """What departs from the plan's defaults, as in the tutorial."""
    sizes = bench.sizes["round"]
    drawn = {"max_new_tokens": sizes["new_tokens"], "batch_size": 16}
    backbone = {"kind": "pretrained", "name": str(bench.minilm)}
    default = RewardModelConfig(backbone=ModelSource()).to_json()
    learned = reward_config(bench.minilm, small=True, members=2).to_json()
    return {
        "seed": SEED,
        "minimum_reward_accuracy": 0.0,
        "evaluation_prompts": sizes["evaluation_prompts"],
        "next_pairs": 0,
        "reward_model": departures(learned, default) | {"backbone": backbone},
        "policy": departures(ppo_config(bench, "round").to_json(), PpoConfig().to_json()),
        "evaluate_policy": {
            "max_prompt_tokens": sizes["prompt_tokens"],
            "samples_limit": 1,
            "best_of_n": 0,
            "scoring_batch_size": 8,
            "sampling": drawn,
        },
    }


def departures(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What of `settings` is not its default, inside nested settings too."""
    return {
        name: departures(value, defaults[name]) if isinstance(value, dict) else value
        for name, value in settings.items()
        if value != defaults[name]
    }


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "reward": reward,
    "round": round_,
    "overoptimise": overoptimise,
    "memory": memory,
}

if __name__ == "__main__":
    main()
