"""Ratings of the rounds' candidates from all head-to-head labels of a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np

from evaluation.contracts import RoundSummary
from evaluation.reports import selectors
from evaluation.statistics.ratings import bradley_terry_ratings


def rounds_rate(
    summaries: Sequence[RoundSummary], pairings: Mapping[int, tuple[str, str]]
) -> list[RoundSummary]:
    """The rounds with Bradley-Terry ratings of their candidates, in log-odds over the first policy.

    `pairings` maps a round to (candidate, incumbent): who was compared, rollbacks included. Where
    the summaries carry ratings already, they are kept; a round without labels gets none.
    """
    if any(summary.rating for summary in summaries):
        return list(summaries)
    compared = {
        s.number: (s.win_rate, *pairings[s.number])
        for s in summaries
        if s.win_rate is not None and s.number in pairings
    }
    if not compared:
        return list(summaries)
    versions = list(dict.fromkeys(name for _, *pair in compared.values() for name in pair[::-1]))
    wins = np.zeros((len(versions), len(versions)))
    for rate, candidate, incumbent in compared.values():
        if candidate != incumbent:
            i, j = versions.index(candidate), versions.index(incumbent)
            wins[i, j] += rate.estimate * rate.n
            wins[j, i] += (1 - rate.estimate) * rate.n
    ratings = dict(zip(versions, bradley_terry_ratings(wins, anchor=0), strict=True))
    return [
        replace(s, rating=ratings[compared[s.number][1]]) if s.number in compared else s
        for s in summaries
    ]


def rounds_rated(line_id: UUID) -> list[RoundSummary]:
    """The reported rounds of a line, oldest first, with the ratings of their candidates."""
    return rounds_rate(selectors.round_summaries(line_id), selectors.round_pairings(line_id))
