"""What the reference writes before a run learns anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from training.contracts import Sampling
from training.core.data.tokenizers import decode
from training.core.model.loading import LoadedModel
from training.core.model.lora import AdapterOff
from training.core.rollout.engine import OwnEngine
from training.core.rollout.rollouts import Sampler

__all__ = ["reference_responses", "reference_texts"]


def reference_responses(
    policy: LoadedModel,
    reference: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    *,
    sampling: Sampling,
) -> list[list[int]]:
    """One completion of the reference a prompt, in token ids, by a seed each.

    A reference that is the policy with its adapter switched off is asked for before anything is learned, when
    the adapter still adds nothing.
    """
    model = policy.model if isinstance(reference, AdapterOff) else reference
    return OwnEngine(replace(policy, model=model), sampling).sample(prompts, seeds).responses


def reference_texts(
    sampler: Sampler,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    *,
    sampling: Sampling,
) -> list[str]:
    """The same as texts."""
    drawn = reference_responses(
        sampler.policy, sampler.reference, prompts, seeds, sampling=sampling
    )
    return [decode(sampler.policy.tokenizer, response) for response in drawn]
