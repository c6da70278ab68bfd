"""How few labels undo what the win rate has shown. Pure: no database."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.contracts import GatePolicySettings
from evaluation.gates.outcomes import Outcome
from evaluation.policy import check_settings
from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.sequences import e_process


def labels_to_flip(
    outcomes: Sequence[Outcome], *, settings: GatePolicySettings, level: float
) -> int | None:
    """Fewest labels without which G1 would not have shown what it shows; None while it shows nothing.

    "Better" is shown at `level`, "worse" at the policy's alpha, as G1 does. The labels that speak most
    for it go first, of equal ones the earliest, which count at the most looks; the evidence of the
    rest, in its order, is what G1 would have seen.
    """
    null = check_settings(settings)["G1"].thresholds["win_rate"]
    values = np.array([outcome.value for outcome in outcomes])
    if _shown(values, null, level):
        return _fewest(values, null, level)
    if _shown(1 - values, 1 - null, settings.alpha):
        return _fewest(1 - values, 1 - null, settings.alpha)
    return None


def _fewest(values: FloatArray, null: float, level: float) -> int:
    """Bisection: the evidence falls with every further label that is left out."""
    order = np.argsort(-values, kind="stable")
    shown, undone = 0, len(values)
    while undone - shown > 1:
        middle = (shown + undone) // 2
        if _shown(np.delete(values, order[:middle]), null, level):
            shown = middle
        else:
            undone = middle
    return undone


def _shown(values: FloatArray, null: float, level: float) -> bool:
    """Whether the evidence against "the mean is at most `null`" ever reached 1/`level`."""
    return len(values) > 0 and bool(e_process(values, null=null).max() >= 1.0 / level)
