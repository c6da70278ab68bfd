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
        bf16=settings["bf16"],
        gradient_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        disable_tqdm=True,
        seed=settings["seed"],
    )
    rows = [json.loads(line) for line in (work / "prompts.jsonl").read_text().splitlines()]
    texts = [row["messages"][0]["content"] for row in rows]
    data = Dataset.from_list([{"input_ids": tokenizer(text)["input_ids"]} for text in texts])

    # TRL gives the frozen networks no autocast: in mixed precision a user loads them in bf16.
    frozen = torch.bfloat16 if settings["bf16"] else torch.float32

    def classifier(dtype: torch.dtype) -> Any:
        return AutoModelForSequenceClassification.from_pretrained(
            work / "reward_model" / "member_0", num_labels=1, dtype=dtype
        )

    def language_model(dtype: torch.dtype) -> Any:
        return AutoModelForCausalLM.from_pretrained(work / "policy", dtype=dtype)

    return PPOTrainer(
        args=arguments,
        processing_class=tokenizer,
        model=language_model(torch.float32),
        ref_model=language_model(frozen),
        reward_model=classifier(frozen),
        value_model=classifier(torch.float32),
        train_dataset=data,
        eval_dataset=data.select(range(batch)),
        callbacks=[clock],
    )


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    answer_requests(run)
