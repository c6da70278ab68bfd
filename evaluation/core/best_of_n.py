"""The best-of-n curve of a reward model: what it chooses, beside what the held-out one thinks of it.

It asks of the reward model what the policy's training will ask, to score texts that were picked because
they score high, without training anything (Gao, Schulman and Hilton 2022, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from annotation.rows import PromptRow
from evaluation.contracts import BestOfNCurve, BestOfNPoint, Interval
from evaluation.statistics.intervals import FloatArray, cluster_mean_interval
from training.core.best_of_n.estimates import best_of_n_kl, expected_best, powers_of_two

__all__ = ["curve_measure", "curve_places"]


def curve_places(prompts: Sequence[PromptRow], most: int) -> list[int]:
    """The places of the first prompt of each group, `most` of them: for one cost they tell most."""
    first: dict[str, int] = {}
    for place, row in enumerate(prompts):
        first.setdefault(row.group or row.id, place)
    return list(first.values())[:most]


def curve_measure(train: FloatArray, held_out: FloatArray, *, level: float) -> BestOfNCurve:
    """Scores (P, N) of N completions of each of P prompts -> both curves, with intervals over prompts."""
    prompts, completions = train.shape
    points: list[BestOfNPoint] = []
    before: FloatArray | None = None
    for n in powers_of_two(completions):
        chosen = _expected(train, held_out, n)
        points.append(
            BestOfNPoint(
                n=n,
                kl_bound=best_of_n_kl(n),
                train=_mean(_expected(train, train, n), level),
                held_out=_mean(chosen, level),
                held_out_step=None if before is None else _mean(chosen - before, level),
            )
        )
        before = chosen
    return BestOfNCurve(prompts, completions, tuple(points))


def _expected(proxy: FloatArray, wanted: FloatArray, n: int) -> FloatArray:
    found = expected_best(torch.from_numpy(proxy), torch.from_numpy(wanted), n)
    return np.asarray(found.numpy(), dtype=np.float64)


def _mean(values: FloatArray, level: float) -> Interval:
    return cluster_mean_interval(values, range(len(values)), level=level)
