"""What the held-out reward model predicts for the pairs of a gate. Pure: no database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.statistics.betting import Aim
from evaluation.statistics.control import Differences, controlled_differences


@dataclass(frozen=True)
class PairPredictions:
    """How probably the candidate's text is preferred: of the `pairs` that people may be asked about, by
    prompt, and of the `reference` pairs that nobody is asked about, in the order in which they were drawn."""

    pairs: Mapping[str, float]
    reference: tuple[float, ...]

    def of(self, prompts: Iterable[str]) -> list[float]:
        """The predictions for these prompts' pairs; NaN where there is none."""
        return [self.pairs.get(prompt, math.nan) for prompt in prompts]


NOTHING_PREDICTED = PairPredictions({}, ())


def differences_read(
    prompts: Sequence[str], predictions: Sequence[PairPredictions], aim: Aim
) -> Differences:
    """What predictions say of the labels read, by their `prompts`; `predictions` of each budget of the
    aim, the first one first, or of none at all. A pair of an earlier budget that is read in a later one
    counts as not predicted."""
    found = [
        controlled_differences(known.of(prompts[part]), known.reference, labels=labels)
        for (part, labels), known in zip(aim.parts(len(prompts)), predictions, strict=False)
    ]
    values = [part.values for part in found] or [np.zeros(len(prompts))]
    return Differences(np.concatenate(values), sum(part.reference for part in found))


@dataclass(frozen=True)
class PairGap:
    """A sampled pair by its prompt, with the score of the candidate's text less that of the incumbent's."""

    prompt_id: str
    gap: float
    identical: bool


def predictions_of(gaps: Iterable[PairGap], *, labels: int) -> PairPredictions:
    """Of sampled pairs in their order: the first `labels` that differ are asked about, the others that do
    are the reference. A gap of one standard deviation of the scores predicts 1 / (1 + 1/e) = 73 %."""
    differing = [pair for pair in gaps if not pair.identical]
    asked, others = differing[:labels], differing[labels:]
    return PairPredictions(
        {pair.prompt_id: preference(pair.gap) for pair in asked},
        tuple(preference(pair.gap) for pair in others),
    )


def preference(gap: float) -> float:
    """1 / (1 + exp(-gap)), without overflow."""
    return 0.5 * (1.0 + math.tanh(gap / 2))
