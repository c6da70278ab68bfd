"""The peer's side of `benchmarks.ppo_vs_trl`: TRL's PPO trainer, in the peer's environment.

Answers {work, updates, ends, settings} with the seconds of each update. The four models and the prompts
are read from `work`, so that both sides learn from the very same inputs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer

from benchmarks.peers import Answer, Marks, answer_requests, peak_mb, peak_restart


class Clock(TrainerCallback):
    """Marks the beginning of the training and the end of each update."""

    def __init__(self) -> None:
        self.marks = Marks()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.marks.note()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.marks.note()


def run(*, work: str, updates: int, ends: bool, settings: dict[str, Any]) -> Answer:
    """One training from the start; `ends`: texts end at EOS, else every one has the full length."""
    clock = Clock()
    trainer = build(Path(work), updates, ends, settings, clock)
    peak_restart()
    trainer.train()
    return {**clock.marks.to_json(), "peak_mb": peak_mb()}


def build(
    work: Path, updates: int, ends: bool, settings: dict[str, Any], clock: Clock
) -> PPOTrainer:
    tokenizer = AutoTokenizer.from_pretrained(work / "policy")
    batch = settings["prompts_per_update"]
    arguments = PPOConfig(
        output_dir=str(work / "trl-out"),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=1,
        num_mini_batches=settings["mini_batches"],
        num_ppo_epochs=settings["epochs"],
        total_episodes=batch * updates,
        response_length=settings["max_new_tokens"],
        stop_token="eos" if ends else None,
        temperature=1.0,
        learning_rate=settings["learning_rate"],
        kl_coef=settings["beta"],
        local_rollout_forward_batch_size=batch,
        num_sample_generations=0,
        save_strategy="no",
        report_to=[],
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        disable_tqdm=True,
        seed=settings["seed"],
    )
    rows = [json.loads(line) for line in (work / "prompts.jsonl").read_text().splitlines()]
    texts = [row["messages"][0]["content"] for row in rows]
    data = Dataset.from_list([{"input_ids": tokenizer(text)["input_ids"]} for text in texts])

    def classifier() -> Any:
        return AutoModelForSequenceClassification.from_pretrained(
            work / "reward_model" / "member_0", num_labels=1
        )

    def language_model() -> Any:
        return AutoModelForCausalLM.from_pretrained(work / "policy")

    return PPOTrainer(
        args=arguments,
        processing_class=tokenizer,
        model=language_model(),
        ref_model=language_model(),
        reward_model=classifier(),
        value_model=classifier(),
        train_dataset=data,
        eval_dataset=data.select(range(batch)),
        callbacks=[clock],
    )


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    answer_requests(run)
