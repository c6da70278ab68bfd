"""How surely people prefer the candidate: e-values and a confidence sequence.

Two hypotheses can be tested. "These people": averaged over the annotators of each block, no
preference for the candidate; exact at every look. "People like them": no preference in the population
that the annotators were drawn from; the labels are counted by annotator, asymptotically.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.contracts import EProcessPoint, Hypothesis, PredictionControl
from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.control import (
    ControlledOutcomes,
    Differences,
    control_outcomes,
)
from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.people import (
    people_confidence_sequence,
    people_e_process,
    people_variance,
)
from evaluation.statistics.sequences import confidence_sequence, e_process

__all__ = ["WinRateEvidence", "win_rate_evidence"]


@dataclass(frozen=True)
class WinRateEvidence:
    """Where the evidence for the claimed hypothesis stands after `read` labels.

    `panel_max_e_value` is that for "these people", whatever is claimed. `control` says how predictions
    took part; None where none could.
    """

    read: int
    e_value: float
    max_e_value: float
    panel_max_e_value: float
    max_e_value_worse: float
    trajectory: tuple[EProcessPoint, ...]
    control: PredictionControl | None = None


def win_rate_evidence(
    outcomes: Sequence[float] | FloatArray,
    people: Sequence[Hashable],
    *,
    aim: Aim,
    hypothesis: Hypothesis,
    null: float = 0.5,
    block: int = 1,
    level: float = 0.95,
    points: int = 120,
    differences: Differences | None = None,
) -> WinRateEvidence:
    """Everything that the gate and its chart need of whole blocks; the trajectory is thinned.

    `differences` are what predictions say of each outcome (`evaluation.statistics.control`). The bounds
    of "panel" rest on the outcomes as they are.
    """
    x = shown = np.asarray(outcomes, dtype=np.float64)
    differences = differences or Differences(np.zeros_like(x), 0)
    controlled = control_outcomes(x, differences, null=null, block=block)
    y, z = controlled.values, controlled.bounded
    panel = hedged_e_process(z, aim=aim, null=null, block=block)
    if hypothesis == "population":
        shown = y
        better = people_e_process(y, people, aim=aim, null=null, block=block)
        worse = people_e_process(1 - y, people, aim=aim, null=1 - null, block=block)
        bounds = people_confidence_sequence(y, people, level=level, block=block)
    else:
        better = panel
        worse = e_process(1 - z, null=1 - null)[block - 1 :: block]
        bounds = confidence_sequence(x, level=level)[block - 1 :: block]
    labels = np.arange(1, len(better) + 1) * block
    rates = np.cumsum(shown)[labels - 1] / labels
    read = int(labels[-1])
    kept = np.unique(np.linspace(0, len(better) - 1, min(points, len(better))).round().astype(int))
    return WinRateEvidence(
        read=read,
        e_value=float(min(better[-1], panel[-1])),
        max_e_value=float(better.max()),
        panel_max_e_value=float(panel.max()),
        max_e_value_worse=float(worse.max()),
        trajectory=tuple(
            EProcessPoint(
                labels=int(labels[i]),
                win_rate=float(rates[i]),
                low=float(bounds[i, 0]),
                high=float(bounds[i, 1]),
                e_value=float(better[i]),
            )
            for i in kept
        ),
        control=_control(x, people, differences, controlled, read, hypothesis),
    )


def _control(
    x: FloatArray,
    people: Sequence[Hashable],
    differences: Differences,
    controlled: ControlledOutcomes,
    read: int,
    hypothesis: Hypothesis,
) -> PredictionControl | None:
    if not differences.values[:read].any():
        return None
    return PredictionControl(
        coefficient=float(controlled.coefficients[read - 1]),
        correlation=differences.correlation(x),
        reference=differences.reference,
        labels_saved=_labels_saved(x[:read], controlled.values[:read], people[:read], hypothesis),
    )


def _labels_saved(
    x: FloatArray, y: FloatArray, people: Sequence[Hashable], hypothesis: Hypothesis
) -> int:
    """n (variance of the mean of x / that of y - 1): n labels of y are as narrow as so many more of x."""
    if hypothesis == "population":
        before, after = (people_variance(values, people) for values in (x, y))
    else:
        before, after = float(x.var()), float(y.var())
    return round(len(x) * (before / after - 1)) if after > 0 else 0
