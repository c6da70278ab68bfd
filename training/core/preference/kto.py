"""The loss of KTO (Ethayarajh 2024, arXiv 2402.01306, section 4): is a completion by itself desirable?

A pair is two such questions. Which completion is preferred says that it is desirable and the other one not;
where both were marked bad, neither is. Votes on one completion alone are not kept by the platform.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from training.core.data.pairs import EncodedPair
from training.core.preference.log_ratios import LogProbs
from training.core.preference.losses import PairLosses
from training.core.reward.losses import smoothed
from training.core.run.errors import UserError

__all__ = ["desirability", "kto_losses", "kto_point", "pairs_mismatch"]


def desirability(preference: Tensor, both_bad: Tensor) -> LogProbs:
    """How far completion 0 and completion 1 are desirable, both (B,) in [0, 1].

    p and 1 - p for a `preference` p, so that a tie says nothing of either; 0 and 0 for pairs that are
    `both_bad` (B,) bool, whichever of the two is the better one.
    """
    return LogProbs(preference.masked_fill(both_bad, 0), (1 - preference).masked_fill(both_bad, 0))


def kto_point(total: float, count: float) -> float:
    """z_0 = max(0, mean of l(x_i, y_j)), from the sum and the number of log-ratios of completions y_j that belong
    to other prompts than x_i.

    How far the policy is from the reference wherever it was not taught. It is a constant of the loss: no gradient
    goes through it.
    """
    return max(0.0, total / count)


def kto_losses(
    ratios: LogProbs,
    preference: Tensor,
    both_bad: Tensor,
    *,
    beta: float,
    point: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> PairLosses:
    """The mean over the two completions of a pair, (B,), of

        d lambda_D (1 - sigmoid(beta (l - z_0))) + (1 - d) lambda_U (1 - sigmoid(beta (z_0 - l)))

    with l the log-ratio of the completion, d its `desirability` and z_0 the `point`. A completion far to the
    right side of z_0, or far to the wrong one, has no more pull: its label may be wrong. With equal weights
    the two halves of a tie add up to a constant.
    """
    wanted = desirability(preference, both_bad)
    sides = []
    for ratio, desirable in zip(ratios, wanted, strict=True):
        share = smoothed(desirable, label_smoothing)
        gain = (beta * (ratio - point)).sigmoid()
        lost = share * desirable_weight * (1 - gain) + (1 - share) * undesirable_weight * gain
        sides.append(lost)
    return PairLosses((sides[0] + sides[1]) / 2, beta * (ratios.first - ratios.second))


def pairs_mismatch(
    pairs: Sequence[EncodedPair],
    among: Sequence[EncodedPair],
    encode: Callable[[EncodedPair, EncodedPair], EncodedPair | None],
) -> list[EncodedPair]:
    """For each of `pairs` its prompt with both completions of the next pair in `among` that has another prompt.

    `encode` puts the prompt of its first pair before the completions of its second; None is what does not fit.
    The paper shifts the completions of a batch by one, anew for each batch; here a prompt keeps its
    strangers for the whole run, drawn from all pairs, so that the reference reads them once.
    Raises `UserError` where all pairs are of one prompt.
    """
    found = [_mismatched(place, pair, among, encode) for place, pair in enumerate(pairs)]
    if any(pair is None for pair in found):
        raise UserError(
            "DPO config: loss 'kto' reads completions that belong to other prompts, and the training pairs are"
            " all of one prompt; label more prompts, or choose another loss."
        )
    return [pair for pair in found if pair is not None]


def _mismatched(
    place: int,
    pair: EncodedPair,
    among: Sequence[EncodedPair],
    encode: Callable[[EncodedPair, EncodedPair], EncodedPair | None],
) -> EncodedPair | None:
    for step in range(1, len(among) + 1):
        other = among[(place + step) % len(among)]
        if other.row.group == pair.row.group or other.row.messages == pair.row.messages:
            continue
        if (found := encode(pair, other)) is not None:
            return found
    return None
