"""What the reference writes before a run learns anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from training.contracts import Sampling
from training.core.data.tokenizers import decode
from training.core.model.lora import AdapterOff
from training.core.rollout.engine import OwnEngine
from training.core.rollout.rollouts import Sampler

__all__ = ["reference_texts"]


def reference_texts(
    sampler: Sampler,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    *,
    sampling: Sampling,
) -> list[str]:
    """One completion of the reference a prompt (token ids), by a seed each.

    A reference that is the policy with its adapter switched off is asked for before anything is learned, when
    the adapter still adds nothing.
    """
    reference = (
        sampler.policy.model if isinstance(sampler.reference, AdapterOff) else sampler.reference
    )
    engine = OwnEngine(replace(sampler.policy, model=reference), sampling)
    drawn = engine.sample(prompts, seeds)
    return [decode(sampler.policy.tokenizer, response) for response in drawn.responses]
