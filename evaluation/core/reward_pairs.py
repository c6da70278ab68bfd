"""A reward model on judged pairs: from score differences to `SplitMeasurements`. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from annotation.contracts import SELECTION_WORDS
from annotation.rows import PreferenceRow
from evaluation.contracts import (
    CriterionAccuracy,
    EvaluateRewardModelConfig,
    Interval,
    SliceAccuracy,
    SplitMeasurements,
)
from evaluation.statistics.calibration import (
    ece_null_quantile,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability_bins,
)
from evaluation.statistics.intervals import (
    FloatArray,
    IntArray,
    cluster_mean_interval,
    cluster_share_interval,
)

__all__ = [
    "JudgedPairs",
    "answers_numbered",
    "criterion_measure",
    "length_direction",
    "split_measure",
]

STRENGTHS = {1: "slightly better", 2: "better", 3: "much better"}


@dataclass(frozen=True)
class JudgedPairs:
    """N pairs; every array is [N], differences are completion 0 minus completion 1.

    `difference` and `held_out` are the log-odds of winning that raw scores give (under Bradley-Terry
    the raw score differences), `calibrated` those with the temperature stored in the artifact.
    `longer` is in tokens, `length` the longer completion's tokens; `preference` is P(0 better);
    `strength` is 1..7; `strategies` say what chose the pair. `answers` [N, 2] numbers the two texts where
    pairs of one ranking share theirs; None where every pair is a label of its own.
    """

    difference: FloatArray
    held_out: FloatArray | None
    preference: FloatArray
    strength: FloatArray
    longer: FloatArray
    length: FloatArray
    groups: Sequence[str]
    raters: Sequence[str]
    strategies: Sequence[str]
    calibrated: FloatArray | None = None
    answers: IntArray | None = None

    def __len__(self) -> int:
        return len(self.difference)

    def take(self, keep: npt.NDArray[np.bool_]) -> JudgedPairs:
        """The pairs where `keep` is true."""
        rows = np.flatnonzero(keep)
        return JudgedPairs(
            difference=self.difference[rows],
            held_out=None if self.held_out is None else self.held_out[rows],
            preference=self.preference[rows],
            strength=self.strength[rows],
            longer=self.longer[rows],
            length=self.length[rows],
            groups=[self.groups[int(i)] for i in rows],
            raters=[self.raters[int(i)] for i in rows],
            strategies=[self.strategies[int(i)] for i in rows],
            calibrated=None if self.calibrated is None else self.calibrated[rows],
            answers=None if self.answers is None else self.answers[rows],
        )


def answers_numbered(rows: Sequence[PreferenceRow]) -> IntArray | None:
    """The texts of each pair [N, 2], numbered: one number for a text within its ranking, another for every text of
    a pair that is part of none. None without rankings. Two equal texts of a ranking tell nothing apart."""
    if all(row.part is None for row in rows):
        return None
    known: dict[tuple[object, ...], int] = {}
    numbered = []
    for place, row in enumerate(rows):
        first, second = row.completions
        of_ranking = row.part.ranking if row.part and first != second else None
        keys: list[tuple[object, ...]] = [(place, 0), (place, 1)]
        if of_ranking is not None:
            keys = [(of_ranking, first), (of_ranking, second)]
        numbered.append([known.setdefault(key, len(known)) for key in keys])
    return np.array(numbered, dtype=np.int64)


def length_direction(longer: FloatArray, preference: FloatArray) -> float:
    """+1 where longer completions win more often than not, -1 where shorter ones do."""
    return 1.0 if float(np.sign(longer) @ (preference - 0.5)) >= 0 else -1.0


def split_measure(
    pairs: JudgedPairs,
    *,
    direction: float,
    config: EvaluateRewardModelConfig,
    seed: int,
) -> SplitMeasurements:
    """Measure one split; `direction` is the length-only baseline's, learned on another split.

    ValueError where fewer than two groups hold an untied pair.
    """
    untied = pairs.take(pairs.preference != 0.5)
    won = (untied.preference > 0.5).astype(np.float64)
    probability = expit(untied.difference)
    calibrated = None if untied.calibrated is None else expit(untied.calibrated)
    return SplitMeasurements(
        pairs=len(pairs),
        ties=len(pairs) - len(untied),
        groups=len(set(pairs.groups)),
        accuracy=_accuracy(untied.difference, untied, config.level),
        held_out_accuracy=_held_out_accuracy(untied, config.level),
        length_baseline=_accuracy(direction * untied.longer, untied, config.level),
        nll=log_loss(pairs.difference, pairs.preference),
        ece=expected_calibration_error(probability, won, bins=config.bins),
        ece_null_95=ece_null_quantile(
            probability,
            seed=seed,
            bins=config.bins,
            resamples=config.null_resamples,
            answers=untied.answers,
        ),
        temperature=fit_temperature(untied.difference, won),
        length_correlation=_correlation(pairs.difference, pairs.longer),
        reliability=reliability_bins(probability, won, bins=config.bins),
        slices=tuple(_slices(untied, config)),
        nll_calibrated=(
            None if pairs.calibrated is None else log_loss(pairs.calibrated, pairs.preference)
        ),
        ece_calibrated=(
            None
            if calibrated is None
            else expected_calibration_error(calibrated, won, bins=config.bins)
        ),
        held_out_correlation=_held_out_correlation(pairs, config.level),
    )


def criterion_measure(
    rows: Sequence[PreferenceRow],
    head: FloatArray,
    mix: FloatArray,
    *,
    criterion: str,
    weight: float,
    level: float,
) -> CriterionAccuracy | None:
    """By the raw differences [N] of the head and of the mix on these rows; None where fewer than two groups hold
    a pair that was told apart on the criterion."""
    judged = [row.of_criterion(criterion) for row in rows]
    kept = [i for i, row in enumerate(judged) if row is not None and not row.tie]
    groups = [rows[i].group for i in kept]
    if len(set(groups)) < 2:
        return None
    wanted = np.array([row.preference - 0.5 for row in judged if row is not None and not row.tie])
    own, mixed = (
        cluster_share_interval(
            (np.sign(difference[kept]) * np.sign(wanted) + 1) / 2, groups, level=level
        )
        for difference in (head, mix)
    )
    pairs = sum(row is not None for row in judged)
    return CriterionAccuracy(criterion, weight, pairs, pairs - len(kept), own, mixed)


def _accuracy(difference: FloatArray, pairs: JudgedPairs, level: float) -> Interval:
    """Share of untied pairs ordered as judged; an equal score counts as half."""
    agrees = (np.sign(difference) * np.sign(pairs.preference - 0.5) + 1) / 2
    return cluster_share_interval(agrees, pairs.groups, level=level)


def _held_out_accuracy(untied: JudgedPairs, level: float) -> Interval | None:
    return None if untied.held_out is None else _accuracy(untied.held_out, untied, level)


def _held_out_correlation(pairs: JudgedPairs, level: float) -> Interval | None:
    """Of the two models' differences, about 0: which completion is named first says nothing.

    The t interval takes their two scales as known.
    """
    if pairs.held_out is None:
        return None
    mine, other = pairs.difference, pairs.held_out
    scale = float(np.sqrt(np.mean(mine**2) * np.mean(other**2)))
    if not scale > 0:
        return None
    return cluster_mean_interval(mine * other / scale, pairs.groups, level=level)


def _correlation(first: FloatArray, second: FloatArray) -> float:
    """Pearson correlation, 0 where one of the two is constant."""
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _slices(untied: JudgedPairs, config: EvaluateRewardModelConfig) -> Iterator[SliceAccuracy]:
    """By rater, length, strength and what chose the pair, where that is not one for all; slices that are too
    small for an interval are left out."""
    chosen = [SELECTION_WORDS.get(name, name) for name in untied.strategies]
    labels = {
        "rater": list(untied.raters),
        "length": _length_buckets(untied.length, config.length_buckets),
        "strength": [STRENGTHS.get(round(abs(s - 4)), "") for s in untied.strength],
        "chosen": chosen if len(set(chosen)) > 1 else [],
    }
    for dimension, values in labels.items():
        for value in dict.fromkeys(sorted(values)):
            part = untied.take(np.array([v == value for v in values]))
            if value and len(part) >= config.minimum_slice and len(set(part.groups)) >= 2:
                accuracy = _accuracy(part.difference, part, config.level)
                yield SliceAccuracy(dimension, value, len(part), accuracy)


def _length_buckets(length: FloatArray, count: int) -> list[str]:
    """Buckets of about equal size, named by their range of tokens of the longer completion."""
    edges = np.unique(np.quantile(length, np.linspace(0, 1, count + 1)))
    if len(edges) < 2:
        return [f"{length[0]:.0f} tokens"] * len(length)
    where = np.clip(np.searchsorted(edges, length, side="right") - 1, 0, len(edges) - 2)
    return [f"{edges[b]:3.0f} to {edges[b + 1]:3.0f} tokens" for b in where]
