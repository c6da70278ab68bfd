"""How few labels undo what the win rate has shown. Pure: no database."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evaluation.contracts import GatePolicySettings, HumanLabels
from evaluation.gates.outcomes import Outcome, label_evidence
from evaluation.gates.predicting import PairPredictions
from evaluation.statistics.betting import Aim
from evaluation.statistics.win_rate import WinRateEvidence

Shown = Callable[[list[Outcome]], bool]


def labels_to_flip(
    outcomes: Sequence[Outcome],
    found: HumanLabels,
    *,
    settings: GatePolicySettings,
    aim: Aim,
    predictions: Sequence[PairPredictions] = (),
) -> int | None:
    """How few labels undo what G1 has shown when they are left out; None while it shows nothing.

    `found` is what all `outcomes` show. The labels that speak most for it go first, of equal ones
    the earliest, which count at the most looks; the evidence of the rest, in its order, is what G1
    would have seen without them.
    """

    def evidence(rest: list[Outcome]) -> WinRateEvidence | None:
        return label_evidence(rest, settings=settings, aim=aim, predictions=predictions)

    def better(rest: list[Outcome]) -> bool:
        left = evidence(rest)
        return left is not None and left.max_e_value >= 1.0 / aim.level

    def worse(rest: list[Outcome]) -> bool:
        left = evidence(rest)
        return left is not None and left.max_e_value_worse >= 1.0 / settings.alpha

    if found.max_e_value >= 1.0 / aim.level:
        return _fewest(outcomes, better, most=1)
    shown_worse = found.max_e_value_worse >= 1.0 / settings.alpha
    return _fewest(outcomes, worse, most=0) if shown_worse else None


def _fewest(outcomes: Sequence[Outcome], shown: Shown, *, most: float) -> int:
    """Bisection over how many go, those nearest to `most` first: with each the evidence gets weaker."""
    order = sorted(range(len(outcomes)), key=lambda i: abs(most - outcomes[i].strength))
    still, undone = 0, len(outcomes)
    while undone - still > 1:
        middle = (still + undone) // 2
        left_out = set(order[:middle])
        rest = [outcome for i, outcome in enumerate(outcomes) if i not in left_out]
        still, undone = (middle, undone) if shown(rest) else (still, middle)
    return undone
