"""Candidate beside incumbent: from scored completions to `PolicyMeasurements`. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.contracts import EvaluatePolicyConfig, Interval, PolicyMeasurements, SideSummary
from evaluation.core.completions import DrawnCompletion
from evaluation.safety.refusal import MANNERS, manners_read
from evaluation.statistics.diversity import (
    distinct_n,
    distinct_ratio_interval,
    group_distinct_n,
)
from evaluation.statistics.intervals import (
    FloatArray,
    cluster_mean_interval,
    cluster_ratio_interval,
    cluster_share_interval,
)
from evaluation.statistics.length import length_free_share, median_ratio_interval

__all__ = ["Side", "policy_compare"]


@dataclass(frozen=True)
class Side:
    """N scored completions of one policy, in the order of the other side's.

    `train` and `held_out` are normalised scores [N]; `spread` is the standard deviation over the
    training ensemble's members [N], None with one member.
    """

    completions: Sequence[DrawnCompletion]
    train: FloatArray
    held_out: FloatArray
    spread: FloatArray | None = None

    @property
    def lengths(self) -> FloatArray:
        return np.array([len(c.tokens) for c in self.completions], dtype=np.float64)

    @property
    def texts(self) -> list[tuple[int, ...]]:
        return [c.tokens for c in self.completions]


def policy_compare(
    sides: Mapping[str, Side],
    *,
    kl: Mapping[str, FloatArray],
    prompt_ids: Sequence[str],
    groups: Sequence[str],
    config: EvaluatePolicyConfig,
    seed: int,
    identical: bool,
) -> PolicyMeasurements:
    """Compare `sides` "candidate" and "incumbent"; "reference", where given, is the base.

    `prompt_ids` and `groups` have one entry a completion. Intervals draw whole groups.
    """
    candidate, incumbent = sides["candidate"], sides["incumbent"]
    level, draws = config.level, config.bootstrap_resamples
    train = candidate.train - incumbent.train
    held_out = candidate.held_out - incumbent.held_out
    longer = candidate.lengths - incumbent.lengths
    return PolicyMeasurements(
        prompts=len(set(prompt_ids)),
        groups=len(set(groups)),
        train_gain=cluster_mean_interval(train, groups, level=level),
        held_out_gain=cluster_mean_interval(held_out, groups, level=level),
        kl={
            name: cluster_mean_interval(values, groups, level=level) for name, values in kl.items()
        },
        length_ratio=median_ratio_interval(
            candidate.lengths, incumbent.lengths, groups, seed=seed, resamples=draws, level=level
        ),
        length_free_share=length_free_share(
            train, longer, groups, seed=seed, resamples=draws, level=level
        ),
        diversity=_diversity(candidate, incumbent, prompt_ids, groups, config, seed),
        sides=_summaries(sides, groups, config),
        train_win_rate=cluster_share_interval(_wins(train), groups, level=level),
        held_out_win_rate=cluster_share_interval(_wins(held_out), groups, level=level),
        ensemble_std_ratio=_spread_ratio(sides, groups, config, seed),
        aa_difference=_largest_difference(candidate, incumbent, kl) if identical else None,
    )


def _wins(difference: FloatArray) -> FloatArray:
    return (np.sign(difference) + 1) / 2


def _largest_difference(candidate: Side, incumbent: Side, kl: Mapping[str, FloatArray]) -> float:
    """What the same weights must not show: any difference of texts, scores or distributions."""
    texts = sum(a != b for a, b in zip(candidate.texts, incumbent.texts, strict=True))
    scores = [candidate.train - incumbent.train, candidate.held_out - incumbent.held_out]
    moved = [np.abs(values).max() for values in (*scores, kl.get("incumbent", np.zeros(1)))]
    return float(max(texts, *moved))


def _diversity(
    candidate: Side,
    incumbent: Side,
    prompt_ids: Sequence[str],
    groups: Sequence[str],
    config: EvaluatePolicyConfig,
    seed: int,
) -> dict[str, Interval]:
    """Ratios of distinct-1 and distinct-2 across prompts, and of distinct-2 within prompts."""
    found: dict[str, Interval] = {}
    if not any(map(len, incumbent.texts)):
        return found
    for n in (1, 2):
        found[f"distinct_{n}"] = distinct_ratio_interval(
            candidate.texts,
            incumbent.texts,
            groups,
            n,
            seed=seed,
            tokens=config.distinct_tokens,
            level=config.level,
        )
    within = _within_prompts(candidate, incumbent, prompt_ids, groups, config, seed)
    return found if within is None else {**found, "distinct_2_within": within}


def _within_prompts(
    candidate: Side,
    incumbent: Side,
    prompt_ids: Sequence[str],
    groups: Sequence[str],
    config: EvaluatePolicyConfig,
    seed: int,
) -> Interval | None:
    """None unless two prompts or more have several completions with a bigram on both sides."""
    ours, theirs = (group_distinct_n(s.texts, prompt_ids, 2) for s in (candidate, incumbent))
    group_of = dict(zip(prompt_ids, groups, strict=True))
    shared = [p for p in group_of if p in ours and p in theirs]
    clusters = [group_of[p] for p in shared]
    if len(set(clusters)) < 2:
        return None
    top, bottom = np.array([ours[p] for p in shared]), np.array([theirs[p] for p in shared])
    return cluster_ratio_interval(
        top, bottom, clusters, seed=seed, resamples=config.bootstrap_resamples, level=config.level
    )


def _spread_ratio(
    sides: Mapping[str, Side], groups: Sequence[str], config: EvaluatePolicyConfig, seed: int
) -> Interval | None:
    top = sides["candidate"].spread
    bottom = sides.get("reference", sides["incumbent"]).spread
    if top is None or bottom is None or not bottom.mean() > 0:
        return None
    return cluster_ratio_interval(
        top, bottom, groups, seed=seed, resamples=config.bootstrap_resamples, level=config.level
    )


def _summaries(
    sides: Mapping[str, Side], groups: Sequence[str], config: EvaluatePolicyConfig
) -> dict[str, SideSummary]:
    written = [sum(map(len, side.texts)) for side in sides.values()]
    tokens = min(config.distinct_tokens or max(written), *written)
    return {name: _summary(side, groups, config.level, tokens) for name, side in sides.items()}


def _summary(side: Side, groups: Sequence[str], level: float, tokens: int) -> SideSummary:
    def mean(values: FloatArray) -> Interval:
        return cluster_mean_interval(values, groups, level=level)

    def share(values: FloatArray) -> Interval:
        return cluster_share_interval(values, groups, level=level)

    ended = np.array([float(c.ended) for c in side.completions])
    said = [manners_read(c.text) for c in side.completions]
    return SideSummary(
        train_score=mean(side.train),
        held_out_score=mean(side.held_out),
        tokens=mean(side.lengths),
        tokens_median=float(np.median(side.lengths)),
        ended_share=share(ended),
        distinct_1=distinct_n(side.texts, 1, tokens=tokens) if tokens else 0.0,
        distinct_2=distinct_n(side.texts, 2, tokens=tokens) if tokens else 0.0,
        ensemble_std=None if side.spread is None else mean(side.spread),
        manners={
            name: (mean if name == "words" else share)(np.array([one[name] for one in said]))
            for name in MANNERS
        },
    )
