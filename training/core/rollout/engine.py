"""What PPO knows of an engine, and our own: exact, reproducible, the same on every device that torch knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from training.contracts import Sampling
from training.core.model.loading import LoadedModel
from training.core.rollout.generation import generate

__all__ = ["OwnEngine", "RolloutEngine", "Sampled"]


class Sampled(NamedTuple):
    """B completions in the order of their prompts.

    responses  token ids, cut after the first end token, which they include
    ended      whether an end token was drawn
    log_probs  of each token under the distribution that it was drawn from, in nats; None where that is
               the policy's own to rounding, so that there is nothing to correct
    """

    responses: list[list[int]]
    ended: list[bool]
    log_probs: list[list[float]] | None


class RolloutEngine(Protocol):
    """Draws with the weights that the policy has at the moment of the call."""

    def sample(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> Sampled:
        """One completion per prompt; `seeds` has one seed for each."""
        ...


@dataclass(frozen=True)
class OwnEngine:
    """A completion depends on its prompt, its seed and the weights alone (`training.core.rollout.generation`)."""

    policy: LoadedModel
    sampling: Sampling

    def sample(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> Sampled:
        generated = generate(
            self.policy.model,
            prompts,
            seeds=seeds,
            sampling=self.sampling,
            pad_id=self.policy.pad_id,
            end_ids=self.policy.end_ids,
        )
        responses = [generated.response(row) for row in range(len(prompts))]
        return Sampled(responses, generated.ended.tolist(), None)
