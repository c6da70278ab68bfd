"""The losses of DPO (Rafailov 2023, arXiv 2305.18290) and IPO (Azar 2023, arXiv 2310.12036)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn import functional

from training.core.reward.losses import smoothed

__all__ = ["PairLosses", "pair_losses"]


class PairLosses(NamedTuple):
    """Both (B,). `margin` is the implicit reward of completion 0 less that of completion 1."""

    loss: Tensor
    margin: Tensor


def pair_losses(
    first: Tensor,
    second: Tensor,
    preference: Tensor,
    *,
    beta: float,
    kind: Literal["dpo", "ipo"] = "dpo",
    label_smoothing: float = 0.0,
) -> PairLosses:
    """The loss of each pair from the log-ratios (B,) of its two completions.

    `preference` p (B,) is the probability that completion 0 is the better one; a tie is 1/2.

    dpo: -p log sigmoid(h) - (1 - p) log sigmoid(-h), h = beta (l_0 - l_1). The minimum over all
         policies is pi proportional to pi_ref exp(r / beta) where p = sigmoid(r_0 - r_1).
    ipo: p (d - 1 / (2 beta))^2 + (1 - p) (d + 1 / (2 beta))^2, d = l_0 - l_1. It stays finite where
         all raters agree.
    """
    target = smoothed(preference, label_smoothing)
    difference = first - second
    margin = beta * difference
    if kind == "dpo":
        agree, differ = functional.logsigmoid(margin), functional.logsigmoid(-margin)
        return PairLosses(-(target * agree + (1 - target) * differ), margin)
    wanted = 1 / (2 * beta)
    loss = target * (difference - wanted) ** 2 + (1 - target) * (difference + wanted) ** 2
    return PairLosses(loss, margin)
