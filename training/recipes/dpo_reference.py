"""What a DPO run asks of its reference before it learns: what it gives the pairs, and what it writes itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from accelerate.utils import gather_object

from training.contracts import DpoConfig
from training.core.data.pairs import EncodedPair
from training.core.data.randomness import derive_seed
from training.core.model.context import context_length
from training.core.preference.log_ratios import LogProbs, Text, pair_log_probs_all, prompt_of
from training.core.rollout.reference_texts import reference_responses
from training.core.run.errors import UserError
from training.core.run.run_directory import Run
from training.core.tuning.materials import Materials
from training.recipes.runtime import own_share

__all__ = ["explored_texts", "reference_log_probs"]


def reference_log_probs(
    run: Run[DpoConfig], accelerator: Any, materials: Materials, pairs: list[EncodedPair]
) -> LogProbs:
    """What the reference gives every pair; each process does its share of the work."""
    mine = own_share(accelerator, range(len(pairs)))
    with accelerator.autocast():
        found = pair_log_probs_all(
            materials.reference,
            [pairs[i] for i in mine],
            pad_id=materials.policy.pad_id,
            batch_size=2 * run.config.micro_batch_size,
            device=accelerator.device,
        )
    rows = gather_object(list(zip(mine, found.first.tolist(), found.second.tolist(), strict=True)))
    first, second = torch.zeros(len(pairs)), torch.zeros(len(pairs))
    for i, of_first, of_second in rows:
        first[i], second[i] = of_first, of_second
    return LogProbs(first, second)


def explored_texts(
    run: Run[DpoConfig], accelerator: Any, materials: Materials, pairs: list[EncodedPair]
) -> list[Text]:
    """One completion of the reference to the prompt of every pair, at temperature 1; the same after a resume."""
    prompts, measure = [prompt_of(pair) for pair in pairs], run.config.measure
    longest = max(map(len, prompts)) + measure.sampling.max_new_tokens
    context = context_length(materials.policy.model)
    if context is not None and longest > context:
        raise UserError(
            f"DPO config: exploration lets the reference answer the prompts of the pairs, the longest of which needs"
            f" {longest} tokens with measure.sampling.max_new_tokens, and the model reads at most {context}; lower"
            " max_length or max_new_tokens, or set exploration to 0."
        )
    mine = own_share(accelerator, range(len(pairs)))
    seeds = [derive_seed(run.spec.seed, "exploration", i) for i in mine]
    with accelerator.autocast():
        drawn = reference_responses(
            materials.policy,
            materials.reference,
            [prompts[i] for i in mine],
            seeds,
            sampling=replace(measure.sampling, temperature=1.0),
        )
    responses = dict(gather_object(list(zip(mine, drawn, strict=True))))
    run.emit("reference", len(pairs), len(pairs))
    return [Text(prompt, responses[i]) for i, prompt in enumerate(prompts)]
