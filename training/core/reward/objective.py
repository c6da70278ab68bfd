"""The whole loss of a pair, put together as the config says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from training.contracts import RewardModelConfig, Ties
from training.core.data.pairs import Labels
from training.core.reward.losses import (
    bradley_terry_loss,
    centering_penalty,
    margin_of,
    smoothed,
)
from training.core.reward.ties import outcome_log_probs, outcome_shares, tie_loss

__all__ = ["LossSettings", "PairLoss", "loss_settings", "pair_loss"]


class PairLoss(NamedTuple):
    """loss (B,): one loss per pair; correct (B,) bool: the higher score is on the preferred side. Of whole rankings
    the share of their pairs for which it is."""

    loss: Tensor
    correct: Tensor


@dataclass(frozen=True)
class LossSettings:
    """`margins` are those of slightly better, better, much better; a tie model takes none."""

    ties: Ties = "half"
    margins: tuple[float, ...] = (0.0, 0.0, 0.0)
    label_smoothing: float = 0.0
    centering: float = 0.0


def loss_settings(config: RewardModelConfig) -> LossSettings:
    linear = tuple(config.margin_scale * step for step in (1, 2, 3))
    return LossSettings(
        config.ties, config.margins or linear, config.label_smoothing, config.centering
    )


def pair_loss(
    first: Tensor,
    second: Tensor,
    labels: Labels,
    settings: LossSettings,
    tie_parameter: Tensor | None = None,
) -> PairLoss:
    """The loss per pair from the two scores (B,); `tie_parameter` where a tie model is chosen."""
    difference = first - second
    target = smoothed(labels.preference, settings.label_smoothing)
    if settings.ties == "half":
        loss = bradley_terry_loss(difference, target, margin_of(labels.strength, settings.margins))
    else:
        assert tie_parameter is not None
        log_probs = outcome_log_probs(difference, settings.ties, tie_parameter)
        loss = tie_loss(log_probs, outcome_shares(target, labels.tie_share))
    loss = loss + centering_penalty(first, second, settings.centering)
    return PairLoss(loss, (difference > 0) == (labels.preference > 0.5))
