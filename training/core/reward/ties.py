"""What a difference of scores says of winning, tying and losing.

`half` is plain Bradley-Terry: a tie is no outcome of its own but half a win. The two tie models give
it a probability, by one parameter that is learned beside the weights or fixed. Differences are
d = r_0 - r_1 (B,); outcomes are (B, 3): completion 0 wins, tie, completion 1 wins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.contracts import Ties
from training.core.reward.losses import bradley_terry_loss

__all__ = [
    "TieModel",
    "davidson",
    "outcome_log_probs",
    "outcome_shares",
    "pair_nll",
    "rao_kupper",
    "tie_attach",
    "tie_loss",
    "tie_start",
    "tie_value",
    "ties_mean",
    "win_log_odds",
    "without_tie",
]

_NAME = "tie_log"
# log(parameter) = _RATE * weight. Adam's steps have the size of the learning rate whatever the
# gradient, so this makes the one number learn ten times as fast as a weight.
_RATE = 10.0


@dataclass(frozen=True)
class TieModel:
    """How ties are read; `parameter` is eta of Rao-Kupper or nu of Davidson, unused by `half`."""

    kind: Ties = "half"
    parameter: float = 0.0


def rao_kupper(difference: Tensor, eta: Tensor) -> Tensor:
    """Log-probabilities (B, 3) of Rao and Kupper 1967, with eta = log theta >= 0 in units of score.

    P(0 wins) = sigmoid(d - eta), P(1 wins) = sigmoid(-d - eta), and what is left,
    (e^(2 eta) - 1) sigmoid(d - eta) sigmoid(-d - eta), is the tie: differences smaller than about
    eta are not told apart.
    """
    win = functional.logsigmoid(difference - eta)
    loss = functional.logsigmoid(-difference - eta)
    log_factor = 2 * eta + torch.log(-torch.expm1(-2 * eta))
    return torch.stack([win, log_factor + win + loss, loss], dim=-1)


def davidson(difference: Tensor, nu: Tensor) -> Tensor:
    """Log-probabilities (B, 3) of Davidson 1970: e^(d/2) : nu : e^(-d/2), nu >= 0.

    Between the two wins it is Bradley-Terry whatever nu is; a tie is likeliest at d = 0, where it
    has the probability nu / (2 + nu).
    """
    half = difference / 2
    return torch.log_softmax(torch.stack([half, nu.log().expand_as(half), -half], dim=-1), dim=-1)


def outcome_log_probs(difference: Tensor, kind: Ties, parameter: Tensor) -> Tensor:
    """(B, 3) log-probabilities of win, tie and loss; `half` knows no tie."""
    if kind == "rao_kupper":
        return rao_kupper(difference, parameter)
    if kind == "davidson":
        return davidson(difference, parameter)
    win, loss = functional.logsigmoid(difference), functional.logsigmoid(-difference)
    return torch.stack([win, torch.full_like(win, -torch.inf), loss], dim=-1)


def outcome_shares(preference: Tensor, tie_share: Tensor) -> Tensor:
    """(B, 3) shares of win, tie and loss from p = win + tie / 2."""
    return torch.stack([preference - tie_share / 2, tie_share, 1 - preference - tie_share / 2], -1)


def tie_loss(log_probs: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy (B,) of outcome shares (B, 3); an outcome that did not occur costs nothing."""
    return -torch.where(shares > 0, shares * log_probs, 0.0).sum(-1)


def pair_nll(difference: Tensor, preference: Tensor, tie_share: Tensor, model: TieModel) -> Tensor:
    """-log likelihood (B,) in nats of the labels under `model`, without margins or smoothing.

    `half` is Bradley-Terry with soft ties; likelihoods of `half` and of a tie model are on
    different outcomes and must not be compared.
    """
    if model.kind == "half":
        return bradley_terry_loss(difference, preference, torch.zeros_like(difference))
    parameter = difference.new_tensor(model.parameter)
    log_probs = outcome_log_probs(difference, model.kind, parameter)
    return tie_loss(log_probs, outcome_shares(preference, tie_share))


def win_log_odds(difference: Tensor, model: TieModel) -> Tensor:
    """log P(0 wins) / P(1 wins), (B,): what a model says of a pair that is not a tie.

    It is d itself under Bradley-Terry and under Davidson, and steeper under Rao-Kupper, where a
    difference must first leave the zone of ties.
    """
    if model.kind != "rao_kupper":
        return difference
    log_probs = rao_kupper(difference, difference.new_tensor(model.parameter))
    return log_probs[..., 0] - log_probs[..., 2]


def ties_mean(kind: Ties, parameters: Sequence[float]) -> TieModel:
    """The tie model beside the mean of several members' differences.

    eta stands beside d in Rao-Kupper and log nu in Davidson, so those are what is averaged.
    """
    if kind == "half":
        return TieModel()
    if kind == "davidson":
        logs = [math.log(value) for value in parameters]
        return TieModel(kind, math.exp(sum(logs) / len(logs)))
    return TieModel(kind, sum(parameters) / len(parameters))


# ------------------------------------------------------------- the learned parameter


def tie_start(kind: Ties, share: float) -> float:
    """The parameter at which equal scores tie as often as the pairs do on average.

    At d = 0 a tie has probability tanh(eta / 2) by Rao-Kupper and nu / (2 + nu) by Davidson.
    """
    return 2 * math.atanh(share) if kind == "rao_kupper" else 2 * share / (1 - share)


def tie_attach(model: nn.Module, kind: Ties, *, start: float, learned: bool) -> None:
    """Give `model` its tie parameter, so that optimiser, checkpoints and processes carry it."""
    if kind == "half":
        return
    # One dimension: FSDP cuts tensors along their first.
    value = torch.tensor([math.log(start) / _RATE])
    if learned:
        model.register_parameter(_NAME, nn.Parameter(value))
    else:
        model.register_buffer(_NAME, value)


def tie_value(model: nn.Module) -> Tensor | None:
    """The tie parameter of a model in training, with its gradient; None where it has none."""
    value = getattr(model, _NAME, None)
    return None if value is None else torch.exp(_RATE * value)[0]


def without_tie(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights alone: Hugging Face models know no tie parameter, it is saved beside them."""
    return {name: value for name, value in state.items() if name != _NAME}
