"""How surely people prefer the candidate: e-values and a confidence sequence.

Two hypotheses can be tested. "These people": averaged over the annotators of each block, no
preference for the candidate; exact at every look. "People like them": no preference in the population
that the annotators were drawn from; the labels are counted by annotator, asymptotically.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.contracts import EProcessPoint, Hypothesis
from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.people import people_confidence_sequence, people_e_process
from evaluation.statistics.sequences import confidence_sequence, e_process

__all__ = ["WinRateEvidence", "win_rate_evidence"]


@dataclass(frozen=True)
class WinRateEvidence:
    """Where the evidence for the claimed hypothesis stands after `read` labels.

    `panel_max_e_value` is that for "these people", whatever is claimed; `interval` is the confidence
    sequence, which holds at every look.
    """

    read: int
    e_value: float
    max_e_value: float
    panel_max_e_value: float
    max_e_value_worse: float
    trajectory: tuple[EProcessPoint, ...]


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
) -> WinRateEvidence:
    """Everything that the gate and its chart need of whole blocks; the trajectory is thinned."""
    x = np.asarray(outcomes, dtype=np.float64)
    panel = hedged_e_process(x, aim=aim, null=null, block=block)
    if hypothesis == "population":
        better = people_e_process(x, people, aim=aim, null=null, block=block)
        worse = people_e_process(1 - x, people, aim=aim, null=1 - null, block=block)
        bounds = people_confidence_sequence(x, people, level=level, block=block)
    else:
        better = panel
        worse = e_process(1 - x, null=1 - null)[block - 1 :: block]
        bounds = confidence_sequence(x, level=level)[block - 1 :: block]
    labels = np.arange(1, len(better) + 1) * block
    rates = np.cumsum(x)[labels - 1] / labels
    kept = np.unique(np.linspace(0, len(better) - 1, min(points, len(better))).round().astype(int))
    return WinRateEvidence(
        read=int(labels[-1]),
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
    )
