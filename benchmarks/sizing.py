"""How large a machine has to be: figures of docs/reference/sizing.md, each from a measurement or a formula.

    python -m benchmarks.sizing [--database ROWS]

Memory is what the recipes themselves estimate before they learn, of Llamas of 1, 8 and 70 billion weights of
which nothing but the configuration is made. Hours of a night are arithmetic on what was measured on one
GPU (benchmarks/results/gpu.json): the multiplications of the plan below at the share of the machine's
limit that a model of 1 B reached. People are counted against benchmarks/results/annotator_load.json. With
--database so many judged pairs are put into a PostgreSQL of their own, and what one takes on disk is
kept in benchmarks/results/sizing.json; without, it is read from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import LlamaConfig

from benchmarks.results_file import result_head
from training.contracts import (
    AdapterConfig,
    InputRef,
    ModelSource,
    PpoConfig,
    RewardModelConfig,
    RunSpec,
    Sampling,
)
from training.core.model.adapted_classifier import WEIGHTS as ADAPTER_WEIGHTS
from training.core.model.memory_estimate import NUMBER, Estimate, Job, estimate, shape_at
from training.core.reward.scoring import SETTINGS
from training.core.run.events import EventLog
from training.core.run.run_directory import Run
from training.core.tuning.footprint import ppo_footprint
from training.digests import path_sha256

FOLDER = Path(__file__).parent / "results"
RESULTS = FOLDER / "sizing.json"
BF16 = 2  # bytes of an activation, and of a weight in an artifact

MODELS: dict[str, dict[str, Any]] = {
    "1 B": {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "intermediate_size": 8192,
            "tie_word_embeddings": True},
    "8 B": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 14336},
    "70 B": {"hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "intermediate_size": 28672},
}  # fmt: skip
LORA = AdapterConfig(kind="lora", rank=8, alpha=16.0)
PPO = PpoConfig(
    updates=100,
    prompts_per_update=64,
    micro_batch_size=4,
    max_prompt_tokens=512,
    sampling=Sampling(max_new_tokens=256, batch_size=64),
    gradient_checkpointing=True,
)
REWARD = RewardModelConfig(
    backbone=ModelSource(),
    epochs=1,
    micro_batch_size=4,
    max_length=768,
    gradient_checkpointing=True,
)
WAYS: dict[str, tuple[AdapterConfig, int]] = {
    "all whole, one GPU": (AdapterConfig(), 1),
    "all whole, eight GPUs, each": (AdapterConfig(), 8),
    "all by adapters on one base, one GPU": (LORA, 1),
}

# The night: what a round asks of each, beside the settings above.
LABELS, PROMPTS, NEXT_PAIRS = 5_000, 384, 500
TEXT = 384  # tokens of prompt and reply together, on average: half of the longest


@dataclass(frozen=True)
class Measured:
    """Of one GPU at 1 B: operations a second in training, and the share of the limit in sampling."""

    training: float
    sampling_share: float
    bytes_a_second: float


def folder_make(root: Path, name: str, *, adapters: bool) -> dict[str, Path]:
    """A policy, and reward models on it, of which configurations alone exist; adapters have their size."""
    config = LlamaConfig(
        vocab_size=128_256, num_key_value_heads=8, max_position_embeddings=8192,
        architectures=["LlamaForCausalLM"], **MODELS[name],
    )  # fmt: skip
    policy = root / "policy"
    config.save_pretrained(policy)
    made = {"policy": policy, "reference": policy}
    for kind, members in (("reward_model", REWARD.members), ("held_out_reward_model", 1)):
        made[kind] = _reward_artifact(root / kind, config, members, policy if adapters else None)
    return made


def _reward_artifact(path: Path, config: LlamaConfig, members: int, policy: Path | None) -> Path:
    names = [f"member_{number}" for number in range(members)]
    document: dict[str, Any] = {"members": [{"path": name} for name in names]}
    if policy is not None:
        digest = path_sha256(policy)
        document["base"] = {"path": "base", "sha256": digest, "source": digest}
        config.save_pretrained(path / "base")
    for name in names:
        config.save_pretrained(path / name)
        if policy is not None:
            size = NUMBER * shape_at(str(path / name), speaks=False, adapter=LORA).adapter
            with (path / name / ADAPTER_WEIGHTS).open("wb") as file:
                file.truncate(size)
    (path / SETTINGS).write_text(json.dumps(document))
    return path


def ppo_memory(name: str, adapter: AdapterConfig, shards: int) -> Estimate:
    with tempfile.TemporaryDirectory() as folder:
        inputs = folder_make(Path(folder), name, adapters=adapter.kind != "none")
        references = {key: InputRef(str(path), path_sha256(path)) for key, path in inputs.items()}
        config = replace(PPO, adapter=adapter)
        spec = RunSpec("sizing", "ppo", 7, references, config.to_json())
        run: Run[PpoConfig] = Run(Path(), spec, config, inputs, None, False, EventLog(None, 0, 0.0))
        return ppo_footprint(run, processes=shards, number=BF16, shards=shards)


def reward_memory(name: str, adapter: AdapterConfig, shards: int) -> Estimate:
    """One member at a time learns: a batch of pairs whose texts are as long as they may be."""
    with tempfile.TemporaryDirectory() as folder:
        policy = folder_make(Path(folder), name, adapters=False)["policy"]
        shape = shape_at(str(policy), speaks=False, adapter=adapter)
    job = Job(
        rows=2 * REWARD.micro_batch_size, length=REWARD.max_length, recompute=True, number=BF16
    )
    return estimate([shape], [], job, shards=shards)


def weights_of(name: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        policy = folder_make(Path(folder), name, adapters=False)["policy"]
        return shape_at(str(policy), speaks=True).parameters


def memory_rows() -> list[list[str]]:
    rows = []
    for way, (adapter, shards) in WAYS.items():
        for what, estimated in (("`ppo`", ppo_memory), ("`reward_model`", reward_memory)):
            sizes = [_gigabytes(estimated(name, adapter, shards).total) for name in MODELS]
            rows.append([way, what, *sizes])
    return rows


def disk_rows() -> list[list[str]]:
    """Of the models that a round leaves, in their files' bfloat16, and of its two newest checkpoints."""
    rows: list[list[str]] = []
    parts: dict[str, Callable[[int], float]] = {
        "a policy": lambda weights: BF16 * weights,
        "reward models, whole: two and a held-out one": lambda weights: 3 * BF16 * weights,
        "two checkpoints of PPO while it runs, policy and critic whole": (
            lambda weights: 2 * 2 * 3 * NUMBER * weights
        ),
    }
    for what, size in parts.items():
        rows.append([what, *(_gigabytes(size(weights_of(name))) for name in MODELS)])
    return rows


# ------------------------------------------------------------------------------ a night


def measured() -> Measured:
    found = json.loads((FOLDER / "gpu.json").read_text())
    step = found["one_step_of_16_pairs"]["1B"]["packed"]["ms"][0] / 1000
    row = next(
        row
        for row in found["sampler_vs_generate"]["rows"]
        if (row["size"], row["batch"]) == ("1B", 64)
    )
    tokens = 3_893  # of the step, as the file says
    return Measured(
        6 * 1e9 * tokens / step, row["own_share_of_limit"], found["copy_gb_per_second"] * 1e9
    )


def night_parts(weights: int, machine: Measured) -> dict[str, float]:
    """Hours of one such GPU: 2 operations a weight and token forward, 6 with gradients, 8 recomputed."""
    forward, learning = 2 * weights, 8 * weights
    rollouts = PPO.updates * PPO.prompts_per_update
    members = REWARD.members + 1
    trained = {
        "reward models": learning * 2 * LABELS * TEXT * members,
        # Policy and critic learn; both, the reference and every reward model score what was drawn.
        "PPO, learning": learning * 2 * PPO.epochs * rollouts * TEXT,
        "PPO, scoring": forward * (3 + members) * rollouts * TEXT,
    }
    hours = {what: work / machine.training / 3600 for what, work in trained.items()}
    # A step of sampling reads all weights once, at the share of the memory's speed that was reached.
    step = BF16 * weights / machine.bytes_a_second / machine.sampling_share
    replies = rollouts + 2 * PROMPTS + 2 * 2 * NEXT_PAIRS
    steps = replies / PPO.sampling.batch_size * PPO.sampling.max_new_tokens
    return {**hours, "sampling": steps * step / 3600}


def night_rows() -> list[list[str]]:
    machine = measured()
    parts = [night_parts(weights_of(name), machine) for name in MODELS]
    rows = [[what, *(_hours(part[what]) for part in parts)] for what in parts[0]]
    return [*rows, ["together", *(_hours(sum(part.values())) for part in parts)]]


# ----------------------------------------------------------------------------- people


def people_rows(labels_a_day: int = 2_000, hours: float = 8.0) -> list[list[str]]:
    """Answers a second beside what one site process of two cores answered, and the disk of a year."""
    load = json.loads((FOLDER / "annotator_load.json").read_text())["runs"]["200 annotators"]
    kept = (
        json.loads(RESULTS.read_text())["database"]["bytes_a_judgment"] if RESULTS.exists() else 0
    )
    rows = []
    for people in (1, 10, 100):
        rate = people * labels_a_day / hours / 3600
        share = rate / load["answers per second"]
        size = people * labels_a_day * 250 * kept
        rows.append(
            [
                f"{people:,}",
                f"{people * labels_a_day:,}",
                f"{rate:.2g}",
                f"{share:.1%}",
                _gigabytes(size),
            ]
        )
    return rows


def database_measure(rows: int) -> dict[str, Any]:
    from django.db import connection

    import benchmarks.django_ready  # noqa: F401
    from benchmarks.databases import database_new
    from benchmarks.exchange_throughput import _labelled
    from tests.support.postgres import PostgresServer, wheel_binaries

    with (
        tempfile.TemporaryDirectory() as scratch,
        PostgresServer(wheel_binaries(), durable=False) as server,
    ):
        _labelled(server, Path(scratch), rows)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            full = cursor.fetchone()[0]
        database_new(server, "empty")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            empty = cursor.fetchone()[0]
        connection.close()
    return {"rows": rows, "empty_bytes": empty, "bytes_a_judgment": round((full - empty) / rows)}


# ------------------------------------------------------------------------------ tables


def _gigabytes(size: float) -> str:
    found = size / 1e9
    return f"{found:,.0f}" if found >= 10 else f"{found:.1f}"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:]])


def tables() -> dict[str, str]:
    names = list(MODELS)
    return {
        "people": table(
            ["annotators", "labels a day", "answers a second", "of what was measured", "GB a year"],
            people_rows(),
        ),
        "memory": table(["GB of memory", "program", *names], memory_rows()),
        "disk": table(["GB on disk", *names], disk_rows()),
        "night": table(["hours of one GPU", *names], night_rows()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", type=int, help="measure a judgment's size with so many rows")
    options = parser.parse_args()
    if options.database:
        result = {**result_head(), "database": database_measure(options.database)}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    for name, text in tables().items():
        print(f"{name}\n\n{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
