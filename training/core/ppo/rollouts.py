"""Sampling completions and measuring everything on them that an optimiser or a reader asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.contracts import Sampling
from training.core.data import PromptRow
from training.core.generation import generate
from training.core.models import LoadedModel
from training.core.ppo.actor_critic import ActorCritic
from training.core.ppo.experience import Episodes, TokenTables, score_tokens
from training.core.ppo.measurement import Scores, rollout_metrics
from training.core.ppo.reduction import Reduce
from training.core.ppo.rewarding import Rewarder
from training.core.tokenizers import decode

__all__ = ["Rollout", "Sampler"]

_REWARDS = ("reward_train", "reward_train_raw", "ensemble_std")


@dataclass(frozen=True)
class Rollout:
    """One process's share of some completions; `metrics` are means over all processes."""

    prompts: list[PromptRow]
    episodes: Episodes
    tables: TokenTables
    scores: Scores
    metrics: dict[str, float | None]


@dataclass(frozen=True)
class Sampler:
    """The networks that write and judge. `rewarder` is None where nothing is to be scored.

    `exact_rollouts` is how many of this process's completions get the full-vocabulary KL.
    """

    policy: LoadedModel
    actor: ActorCritic
    reference: Any
    rewarder: Rewarder | None
    sampling: Sampling
    batch_size: int
    exact_rollouts: int
    device: torch.device
    reduce: Reduce

    def sample(self, prompts: list[list[int]], seeds: Sequence[int]) -> Episodes:
        generated = generate(
            self.policy.model,
            prompts,
            seeds=seeds,
            sampling=self.sampling,
            pad_id=self.policy.pad_id,
            end_ids=self.policy.end_ids,
        )
        responses = [generated.response(row) for row in range(len(prompts))]
        texts = [decode(self.policy.tokenizer, response) for response in responses]
        return Episodes(prompts, responses, generated.ended.tolist(), texts)

    def score(self, rows: list[PromptRow], episodes: Episodes) -> Rollout:
        """Rewards of the texts, and log-probabilities, values and divergence of their tokens."""
        scores = self._scores(rows, episodes)
        tables = score_tokens(
            self.actor,
            self.reference,
            episodes,
            temperature=self.sampling.temperature,
            pad_id=self.policy.pad_id,
            batch_size=self.batch_size,
            exact_rollouts=self.exact_rollouts,
            device=self.device,
        )
        metrics = rollout_metrics(episodes, tables, scores, reduce=self.reduce)
        if self.rewarder is None:
            metrics |= dict.fromkeys(_REWARDS)
        return Rollout(rows, episodes, tables, scores, metrics)

    def _scores(self, rows: Sequence[PromptRow], episodes: Episodes) -> Scores:
        if self.rewarder is None:
            unknown = torch.full((len(rows),), torch.nan)
            return Scores(unknown, unknown, unknown)
        return self.rewarder([row.messages for row in rows], episodes.texts)
