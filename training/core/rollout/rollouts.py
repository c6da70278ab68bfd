"""Sampling completions and measuring everything on them that an optimiser or a reader asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from annotation.rows import PromptRow
from training.core.data.tokenizers import decode
from training.core.model.actor_critic import ActorCritic
from training.core.model.loading import LoadedModel
from training.core.rollout.engine import RolloutEngine
from training.core.rollout.episodes import Episodes, TokenTables, score_tokens
from training.core.rollout.importance import engine_table, importance_metrics, importance_weights
from training.core.rollout.metrics import Scores, rollout_metrics
from training.core.rollout.reduction import Reduce
from training.core.rollout.rewarding import Rewarder

__all__ = ["Rollout", "Sampler"]

_REWARDS = ("reward_train", "reward_train_raw", "ensemble_std")


@dataclass(frozen=True)
class Rollout:
    """One process's share of some completions; `metrics` are means over all processes.

    `importance` [B, R] weighs the tokens of an engine that is not our own; None where all weights are 1.
    """

    prompts: list[PromptRow]
    episodes: Episodes
    tables: TokenTables
    scores: Scores
    metrics: dict[str, float | None]
    importance: Tensor | None = None


@dataclass(frozen=True)
class Sampler:
    """The networks that write and judge. `rewarder` is None where nothing is to be scored.

    `exact_rollouts` is how many of this process's completions get the full-vocabulary KL;
    `importance_cap` truncates the weights of tokens that come with probabilities of their engine.
    """

    engine: RolloutEngine
    policy: LoadedModel
    actor: ActorCritic
    reference: Any
    rewarder: Rewarder | None
    temperature: float
    batch_size: int
    exact_rollouts: int
    device: torch.device
    reduce: Reduce
    importance_cap: float = 1.0

    def sample(self, prompts: list[list[int]], seeds: Sequence[int]) -> Episodes:
        sampled = self.engine.sample(prompts, seeds)
        texts = [decode(self.policy.tokenizer, response) for response in sampled.responses]
        return Episodes(prompts, sampled.responses, sampled.ended, texts, sampled.log_probs)

    def score(self, rows: list[PromptRow], episodes: Episodes) -> Rollout:
        """Rewards of the texts, and log-probabilities, values and divergence of their tokens."""
        scores = self._scores(rows, episodes)
        tables = score_tokens(
            self.actor,
            self.reference,
            episodes,
            temperature=self.temperature,
            pad_id=self.policy.pad_id,
            batch_size=self.batch_size,
            exact_rollouts=self.exact_rollouts,
            device=self.device,
        )
        metrics = rollout_metrics(episodes, tables, scores, reduce=self.reduce)
        if self.rewarder is None:
            metrics |= dict.fromkeys(_REWARDS)
        if episodes.log_probs is None:
            return Rollout(rows, episodes, tables, scores, metrics)
        mask, cap = episodes.response_mask(tables.values.device), self.importance_cap
        drawn = engine_table(episodes.log_probs, mask)
        metrics |= importance_metrics(tables.log_probs, drawn, mask, cap=cap, reduce=self.reduce)
        weights = importance_weights(tables.log_probs, drawn, mask, cap=cap)
        return Rollout(rows, episodes, tables, scores, metrics, weights)

    def _scores(self, rows: Sequence[PromptRow], episodes: Episodes) -> Scores:
        if self.rewarder is None:
            unknown = torch.full((len(rows),), torch.nan)
            return Scores(unknown, unknown, unknown)
        return self.rewarder([row.messages for row in rows], episodes.texts)
