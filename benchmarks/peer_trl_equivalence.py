"""The peer's side of `benchmarks.ppo_equivalence`: TRL's own PPO trainer on a stored rollout.

Runs in the peer's environment: python -m benchmarks.peer_trl_equivalence WORK
Reads WORK/{policy,reference,reward,value,tokenizer}, WORK/rollout.npz and WORK/settings.json; writes
WORK/trl.npz. The trainer runs unchanged but for two hooks: generation gives back the stored tokens and
logits, and every backward pass notes the local variables around it, the weights and the gradients.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

TABLES = (
    "logprobs", "ref_logprobs", "kl", "rewards", "values", "advantages", "returns", "scores",
    "padding_mask", "padding_mask_p1",
)  # fmt: skip


def main() -> None:
    work = Path(sys.argv[1])
    settings = json.loads((work / "settings.json").read_text())
    stored = np.load(work / "rollout.npz")
    found: dict[str, np.ndarray] = {}
    trainer = build(work, settings, stored["queries"])
    give_stored_rollout(stored, settings["temperature"])
    note_backward_passes(trainer, found)
    trainer.train()
    arrays: dict[str, Any] = dict(found)
    np.savez(work / "trl.npz", **arrays)


def build(work: Path, settings: dict[str, Any], queries: np.ndarray) -> PPOTrainer:
    tokenizer = AutoTokenizer.from_pretrained(work / "tokenizer")
    rows = len(queries)
    arguments = PPOConfig(
        output_dir=str(work / "out"),
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=1,
        num_mini_batches=settings["mini_batches"],
        num_ppo_epochs=settings["epochs"],
        total_episodes=rows,
        response_length=settings["response_length"],
        stop_token="eos",
        temperature=settings["temperature"],
        missing_eos_penalty=settings["missing_eos_penalty"],
        kl_coef=settings["beta"],
        gamma=settings["gamma"],
        lam=settings["gae_lambda"],
        cliprange=settings["clip_range"],
        cliprange_value=settings["value_clip_range"],
        vf_coef=settings["value_coefficient"],
        learning_rate=settings["learning_rate"],
        local_rollout_forward_batch_size=rows,
        num_sample_generations=0,
        save_strategy="no",
        report_to=[],
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        seed=settings["seed"],
    )
    data = Dataset.from_list([{"input_ids": [int(t) for t in row]} for row in queries])

    def classifier(name: str) -> Any:
        return AutoModelForSequenceClassification.from_pretrained(work / name, num_labels=1)

    def language_model(name: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(work / name)

    return PPOTrainer(
        args=arguments,
        processing_class=tokenizer,
        model=language_model("policy"),
        ref_model=language_model("reference"),
        reward_model=classifier("reward"),
        value_model=classifier("value"),
        train_dataset=data,
        eval_dataset=data,
    )


def give_stored_rollout(stored: Any, temperature: float) -> None:
    """Generation returns the rows that belong to the queries, however the loader shuffled them."""
    rows = {tuple(query): number for number, query in enumerate(stored["queries"].tolist())}

    def batch_generation(model: Any, queries: torch.Tensor, *_: Any) -> tuple[Any, Any]:
        order = [rows[tuple(query)] for query in queries.tolist()]
        batch_generation.order = order  # type: ignore[attr-defined]
        responses = torch.from_numpy(stored["responses"][order])
        logits = torch.from_numpy(stored["policy_logits"][order]) / (temperature + 1e-7)
        return torch.cat([queries, responses], dim=1), logits

    ppo_trainer.batch_generation = batch_generation


def note_backward_passes(trainer: PPOTrainer, found: dict[str, np.ndarray]) -> None:
    original, passes = trainer.accelerator.backward, iter(range(1000))

    def backward(loss: torch.Tensor, **options: Any) -> None:
        around, number = sys._getframe(1).f_locals, next(passes)
        if number == 0:
            for name in TABLES:
                found[name] = around[name].detach().numpy().copy()
            found["order"] = np.array(ppo_trainer.batch_generation.order)
        found[f"{number}/rows"] = np.array(around["micro_batch_inds"])
        found[f"{number}/policy_loss"] = around["pg_loss"].detach().numpy()
        found[f"{number}/value_loss"] = around["vf_loss"].detach().numpy()
        for name, parameter in trainer.model.named_parameters():
            found[f"{number}/weight/{name}"] = parameter.detach().numpy().copy()
        original(loss, **options)
        for name, parameter in trainer.model.named_parameters():
            found[f"{number}/gradient/{name}"] = parameter.grad.numpy().copy()
        found["passes"] = np.array(number + 1)

    trainer.accelerator.backward = backward


if __name__ == "__main__":
    main()
