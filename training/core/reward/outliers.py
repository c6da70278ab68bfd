"""Texts that a reward model has seen nothing like: its own states of them, beside those of reference texts.

The Mahalanobis outlier probability of Miao et al. 2025 (arXiv 2510.13694): the share of a policy's texts that lie
outside the cloud of the texts it began with, in the reward model's latent space. There that space is an
information bottleneck's (InfoRM) and the border the χ² law of a normal cloud. Here it is what the head of an
ordinary reward model reads, which need not be normal, so the border is a quantile of reference texts that
the cloud was not made of; and the covariance is shrunk, since it has more entries than there are texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from training.core.run.errors import UserError

__all__ = ["StateCloud", "border_rank", "cloud_fit", "outlier_shares"]

_LEAST = 1e-9
"""Of the mean variance: no direction has less, so that none that never varied decides alone."""


@dataclass(frozen=True)
class StateCloud:
    """Where the states of one member lie, in float64 on the CPU.

    mean (d,); axes (r, d), orthonormal rows with r = min(texts, d), and variances (r,) along them; `elsewhere` is
    the variance in every direction that has no axis, `border` the largest squared distance inside, and
    `shrinkage` how far the covariance was moved to a multiple of the identity, 0 to 1.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    elsewhere: float
    border: float
    shrinkage: float

    def squared_distances(self, states: Tensor) -> Tensor:
        """(N,): (h - m)' S^-1 (h - m) of states (N, d), S the shrunk covariance (Mahalanobis 1936)."""
        gaps = states.double() - self.mean
        along = gaps @ self.axes.T
        beside = (gaps.square().sum(1) - along.square().sum(1)).clamp(min=0)
        return (along.square() / self.variances).sum(1) + beside / self.elsewhere

    def outside(self, states: Tensor) -> Tensor:
        """(N,) bool."""
        return self.squared_distances(states) > self.border

    def to_state(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state)


def cloud_fit(states: Tensor, held_out: Tensor, *, quantile: float) -> StateCloud:
    """The cloud of `states` (N, d), its border a quantile of the distances of `held_out` (M, d), other texts.

    The covariance is (1 - s) S + s m I, with S the sample covariance, m its mean variance and s by Ledoit and
    Wolf 2004 (*A well-conditioned estimator for large-dimensional covariance matrices*). The border is the
    ceil((M + 1) quantile)-th smallest distance: a further reference text lies outside with a
    probability of 1 - quantile at most, whatever the law of the states (split conformal, Papadopoulos 2002).
    Raises `UserError` where the states do not vary, and `ValueError` where M is too small for the quantile.
    """
    rank = border_rank(len(held_out), quantile)
    mean = states.double().mean(0)
    gaps = states.double() - mean
    _, singular, axes = torch.linalg.svd(gaps, full_matrices=False)
    spectrum = singular.square() / len(gaps)
    level = float(spectrum.sum()) / gaps.shape[1]
    if not level > 0:
        raise UserError(
            "The reward model reads all texts of the reference alike, so that nothing can lie outside them:"
            " set outlier_texts to 0, or look at the reward model."
        )
    shrinkage = _shrinkage(gaps, spectrum, level)
    least = _LEAST * level
    inside = ((1 - shrinkage) * spectrum + shrinkage * level).clamp(min=least)
    cloud = StateCloud(mean, axes, inside, max(shrinkage * level, least), 0.0, shrinkage)
    distances = cloud.squared_distances(held_out).sort().values
    return StateCloud(**vars(cloud) | {"border": float(distances[rank - 1])})


def border_rank(held_out: int, quantile: float) -> int:
    """Which of so many distances, from the smallest, is the border; `ValueError` where they are too few."""
    rank = math.ceil(
        (held_out + 1) * quantile - 1e-9
    )  # 0.99 times 100 is 99, whatever the rounding
    if rank > held_out:
        raise ValueError(f"{held_out} distances have no {quantile} quantile.")
    return rank


def _shrinkage(gaps: Tensor, spectrum: Tensor, level: float) -> float:
    """s = min(b², d²) / d²: d² = |S - m I|², b² = mean |x x' - S|² / N over the N centred states x.

    From the spectrum of S and the lengths of x alone: sum |x x' - S|² = sum |x|⁴ - N |S|².
    """
    texts, width = gaps.shape
    away = float(spectrum.square().sum()) - width * level**2
    fourth = float(gaps.square().sum(1).square().sum()) / texts
    noise = (fourth - float(spectrum.square().sum())) / texts
    return 1.0 if away <= 0 else min(max(noise, 0.0), away) / away


def outlier_shares(clouds: Sequence[StateCloud], states: Sequence[Tensor]) -> Tensor:
    """(N,): of each text, the share of members to whom it lies outside; `states` has (N, d) of each member."""
    found = [cloud.outside(own).float() for cloud, own in zip(clouds, states, strict=True)]
    return torch.stack(found).mean(0)
