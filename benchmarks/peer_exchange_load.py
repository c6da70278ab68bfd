"""The peer's side of `benchmarks.exchange_load`: `datasets` and TRL, in their environment.

Answers {act: "load", path, container} with rows and columns, and {act: "step", path, trainer, model} with
the loss of one optimiser step.
"""

from __future__ import annotations

import tempfile
from typing import Any

from datasets import Dataset, load_dataset, load_from_disk
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

from benchmarks.peers import Answer, answer_requests

# The smallest template that keeps every turn, system turns too.
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
BUILDERS = {"jsonl": "json", "csv": "csv", "parquet": "parquet"}


def read(path: str, container: str) -> Dataset:
    if container == "dataset":
        return load_from_disk(path)
    with tempfile.TemporaryDirectory() as scratch:
        found = load_dataset(
            BUILDERS[container], data_files=path, split="train", cache_dir=scratch,
            keep_in_memory=True,
        )  # fmt: skip
        return found


def load(path: str, container: str) -> Answer:
    found = read(path, container)
    return {"rows": found.num_rows, "columns": found.column_names, "first": str(found[0])[:2000]}


def step(path: str, container: str, trainer: str, model: str) -> Answer:
    """One step of a trainer on two rows, or four of unpaired ones."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = TEMPLATE
    rows = read(path, container)
    made = {"reward": _reward, "dpo": _dpo, "kto": _kto}[trainer]
    with tempfile.TemporaryDirectory() as scratch:
        common: dict[str, Any] = {
            "output_dir": scratch,
            "max_steps": 1,
            "per_device_train_batch_size": 4,
            "max_length": 128,
            "report_to": [],
            "save_strategy": "no",
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "disable_tqdm": True,
        }
        done = made(model, tokenizer, rows, common).train()
    return {"loss": done.training_loss, "steps": done.global_step}


def _reward(model: str, tokenizer: Any, rows: Dataset, common: dict[str, Any]) -> Any:
    scorer = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1)
    scorer.config.pad_token_id = tokenizer.pad_token_id
    arguments = RewardConfig(**common, eos_token=tokenizer.eos_token)
    return RewardTrainer(
        model=scorer, args=arguments, train_dataset=rows, processing_class=tokenizer
    )


def _dpo(model: str, tokenizer: Any, rows: Dataset, common: dict[str, Any]) -> Any:
    policy = AutoModelForCausalLM.from_pretrained(model)
    arguments = DPOConfig(**common)
    return DPOTrainer(model=policy, args=arguments, train_dataset=rows, processing_class=tokenizer)


def _kto(model: str, tokenizer: Any, rows: Dataset, common: dict[str, Any]) -> Any:
    from trl.experimental.kto import KTOConfig, KTOTrainer

    policy, reference = (AutoModelForCausalLM.from_pretrained(model) for _ in range(2))
    return KTOTrainer(
        model=policy,
        ref_model=reference,
        args=KTOConfig(**common),
        train_dataset=rows,
        processing_class=tokenizer,
    )


def handle(*, act: str, **asked: Any) -> Answer:
    try:
        return load(**asked) if act == "load" else step(**asked)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


if __name__ == "__main__":
    answer_requests(handle)
