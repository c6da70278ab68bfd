"""The peer's side of `benchmarks.reward_model_vs_trl`: TRL's RewardTrainer, in its environment.

Answers {backbone, train, test, settings} with the time of every step, held-out accuracy and the peak of
memory.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl import RewardConfig, RewardTrainer

from benchmarks.peers import Answer, Marks, answer_requests, peak_mb, peak_restart


class Clock(TrainerCallback):
    """Marks the end of each optimiser step."""

    def __init__(self) -> None:
        self.marks = Marks()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.marks.note()


def run(*, backbone: str, train: str, test: str, settings: dict[str, Any]) -> Answer:
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    torch.manual_seed(settings["seed"])
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = RewardConfig(
            output_dir=scratch,
            num_train_epochs=1,
            per_device_train_batch_size=settings["batch_size"],
            per_device_eval_batch_size=32,
            learning_rate=settings["learning_rate"],
            warmup_steps=settings["warmup_share"],
            weight_decay=settings["weight_decay"],
            max_grad_norm=settings["max_grad_norm"],
            max_length=settings["max_length"],
            eos_token=tokenizer.sep_token or tokenizer.eos_token,
            bf16=settings["bf16"],
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            seed=settings["seed"],
            dataloader_num_workers=0,
        )
        trainer = RewardTrainer(
            model=model,
            args=arguments,
            train_dataset=rows(train),
            eval_dataset=rows(test),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        peak_restart()
        trainer.train()
        measured = trainer.evaluate()
    return {
        **clock.marks.to_json(),
        "pairs": len(trainer.train_dataset),
        "accuracy": measured["eval_accuracy"],
        "peak_mb": peak_mb(),
    }


def rows(path: str) -> Dataset:
    """Chosen and rejected texts of the pairs in a `preferences` file."""
    found = []
    with open(path) as stream:
        for line in stream:
            row = json.loads(line)
            best = 0 if row["preference"] == 1 else 1
            found.append(
                {
                    "prompt": row["messages"][0]["content"] + "\n\n",
                    "chosen": row["completions"][best],
                    "rejected": row["completions"][1 - best],
                }
            )
    return Dataset.from_list(found)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    answer_requests(run)
