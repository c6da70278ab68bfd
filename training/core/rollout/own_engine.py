"""Our own sampling loop: exact, reproducible, and the same on every device that torch knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.contracts import Sampling
from training.core.model.loading import LoadedModel
from training.core.rollout.engine import Sampled
from training.core.rollout.generation import generate

__all__ = ["OwnEngine"]


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
