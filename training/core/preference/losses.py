"""The losses of DPO (Rafailov 2023, arXiv 2305.18290), IPO (Azar 2023, arXiv 2310.12036) and SimPO (Meng
2024, arXiv 2405.14734).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from training.contracts import PairLoss
from training.core.reward.losses import smoothed

__all__ = ["PairLosses", "exploration_bonus", "pair_losses"]


class PairLosses(NamedTuple):
    """Both (B,). `margin` is the implicit reward of completion 0 less that of completion 1."""

    loss: Tensor
    margin: Tensor


def exploration_bonus(explored: Tensor, alpha: float) -> Tensor:
    """XPO (Xie 2024, arXiv 2405.21046, algorithm 1): alpha log pi(y'|x), added to the loss of each pair, (B,).

    `explored` (B,) is log pi of a completion y' that the reference drew for the prompt of the pair. To make what the
    reference writes less likely than the labels ask for is to expect more of what it does not write: optimism, which
    the next round's pairs then put to the test. The paper labels one completion of the policy against one of the
    reference; here both of a pair are of whoever wrote them, and y' is drawn beside them.
    """
    return alpha * explored


def pair_losses(
    first: Tensor,
    second: Tensor,
    preference: Tensor,
    *,
    beta: float,
    kind: PairLoss = "dpo",
    label_smoothing: float = 0.0,
    simpo_margin: float = 0.0,
) -> PairLosses:
    """The loss of each pair from what `kind` compares of its two completions, each (B,): their log-ratios l
    for "dpo", l / n for "ipo" and "length_normalised_dpo", s for "simpo". `kto_losses` has that of "kto".

    `preference` p (B,) is the probability that completion 0 is the better one; a tie is 1/2.

    dpo: -p log sigmoid(h) - (1 - p) log sigmoid(-h), h = beta (l_0 - l_1). The minimum over all
         policies is pi proportional to pi_ref exp(r / beta) where p = sigmoid(r_0 - r_1).
    ipo: p (d - 1 / (2 beta))^2 + (1 - p) (d + 1 / (2 beta))^2, d = l_0 / n_0 - l_1 / n_1, n the tokens of a
         completion. It stays finite where all raters agree. Means a token, as the authors have it (TRL,
         pull request 1265, which mended the sums of its first release): a sum would ask long and short
         completions for the same gap of 1 / (2 beta) nats, whatever one token can give.
    length_normalised_dpo: as dpo, with l / n, log-ratios a token (Meng 2024, section 4): a long text has
         no larger margin for being long.
    simpo: -p log sigmoid(h - gamma) - (1 - p) log sigmoid(-h - gamma), h = beta (s_0 - s_1) with
         s = log pi(y) / n: no reference holds the policy, the likelihood of a text a token is its reward.
    """
    target = smoothed(preference, label_smoothing)
    difference = first - second
    margin = beta * difference
    if kind != "ipo":
        short = simpo_margin if kind == "simpo" else 0.0
        agree = functional.logsigmoid(margin - short)
        differ = functional.logsigmoid(-margin - short)
        return PairLosses(-(target * agree + (1 - target) * differ), margin)
    wanted = 1 / (2 * beta)
    loss = target * (difference - wanted) ** 2 + (1 - target) * (difference + wanted) ** 2
    return PairLosses(loss, margin)
