"""How far annotators agree: intervals for the report, from votes that the annotation room gathered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from annotation.contracts import LabelSummary, OverlapVote, RaterSummary
from evaluation.contracts import Interval, RankedLabels, RaterLabels, RoundLabels
from evaluation.gates.outcomes import human_ceiling
from evaluation.statistics.agreement import krippendorff_alpha_interval, pairwise_agreement
from evaluation.statistics.intervals import wilson_interval

BOOTSTRAP_SEED = 20_231_031
TIE = 4
FEWEST_ITEMS = 20


def label_quality(
    learned: RoundLabels, *, votes: Sequence[OverlapVote], summary: LabelSummary
) -> RoundLabels:
    """`learned` with how far people agreed; None where too few comparisons have two opinions.

    Agreement is on the side preferred (ties a third answer), bias the share of left sides chosen.
    """
    matrix = _side_matrix(votes)
    enough = matrix if matrix is not None and matrix.shape[1] >= FEWEST_ITEMS else None
    agreement = _agreement_by_rater(votes)
    return replace(
        learned,
        both_bad=summary.both_bad,
        raters=tuple(
            RaterLabels(
                r.rater,
                r.labels,
                agreement.get(r.rater),
                _left_share([r]),
                r.median_seconds,
                r.rankings,
            )
            for r in summary.raters
        ),
        agreement=pairwise_agreement(enough) if enough is not None else None,
        krippendorff_alpha=(
            krippendorff_alpha_interval(enough, metric="nominal", seed=BOOTSTRAP_SEED)
            if enough is not None
            else None
        ),
        human_ceiling=human_ceiling(votes),
        position_bias=_left_share(summary.raters),
        rankings=tuple(
            RankedLabels(each.answers, each.rankings, each.raters) for each in summary.rankings
        ),
    )


def gold_question_accuracy(summary: LabelSummary) -> Interval | None:
    """How often annotators answered questions whose answer is known; None under `FEWEST_ITEMS`."""
    asked = sum(r.gold_labels for r in summary.raters)
    if asked < FEWEST_ITEMS:
        return None
    right = sum(r.gold_labels * (r.gold_accuracy or 0.0) for r in summary.raters)
    return wilson_interval(right, asked)


def _side_matrix(votes: Sequence[OverlapVote]) -> np.ndarray | None:
    """[raters, items] with -1, 0, 1 for the side preferred and NaN where a rater did not vote."""
    if not votes:
        return None
    raters = {rater: i for i, rater in enumerate(sorted({v.rater for v in votes}))}
    items = {item: i for i, item in enumerate(sorted({str(v.comparison_id) for v in votes}))}
    matrix = np.full((len(raters), len(items)), np.nan)
    for vote in votes:
        matrix[raters[vote.rater], items[str(vote.comparison_id)]] = np.sign(vote.value - TIE)
    return matrix


def _agreement_by_rater(votes: Sequence[OverlapVote]) -> dict[str, Interval]:
    """Share of a rater's shared, decided items on which another rater preferred the same side."""
    by_item: dict[str, list[OverlapVote]] = defaultdict(list)
    for vote in votes:
        if vote.value != TIE:
            by_item[str(vote.comparison_id)].append(vote)
    tally: dict[str, list[float]] = defaultdict(list)
    for item in by_item.values():
        for one in item:
            for other in item:
                if one.rater != other.rater:
                    tally[one.rater].append(float((one.value < TIE) == (other.value < TIE)))
    return {
        rater: wilson_interval(sum(hits), len(hits))
        for rater, hits in tally.items()
        if len(hits) >= FEWEST_ITEMS
    }


def _left_share(raters: Sequence[RaterSummary]) -> Interval | None:
    counted = [(r.left_share, r.labels - r.ties) for r in raters if r.left_share is not None]
    decided = sum(n for _, n in counted)
    if decided < FEWEST_ITEMS:
        return None
    return wilson_interval(sum(share * n for share, n in counted), decided)
