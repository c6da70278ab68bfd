"""What PPO knows of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

__all__ = ["RolloutEngine", "Sampled"]


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
