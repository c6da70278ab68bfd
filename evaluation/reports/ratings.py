"""Ratings of the rounds' candidates from all head-to-head labels of a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluation.contracts import Interval


class Game(NamedTuple):
    """One round's comparison: who met whom, rollbacks included, and how the candidate fared."""

    number: int
    candidate: str
    incumbent: str
    win_rate: Interval


def candidates_rated(games: Sequence[Game]) -> dict[int, Interval]:
    """Round -> Bradley-Terry rating of its candidate, in log-odds over the first policy."""
    if not games:
        return {}
    # here, since it is slow to load: ratings are made where a report is stored, and only read by pages
    from evaluation.statistics.ratings import bradley_terry_ratings

    names = dict.fromkeys(name for game in games for name in (game.incumbent, game.candidate))
    places = {name: place for place, name in enumerate(names)}
    found = bradley_terry_ratings(_wins(games, places), anchor=0)
    return {game.number: found[places[game.candidate]] for game in games}


def _wins(games: Sequence[Game], places: dict[str, int]) -> Any:
    """Sparse (versions, versions): how often the row's version beat the column's."""
    from scipy import sparse  # see above

    met = [game for game in games if game.candidate != game.incumbent]
    one = np.array([places[game.candidate] for game in met], dtype=np.intp)
    two = np.array([places[game.incumbent] for game in met], dtype=np.intp)
    labels = np.array([game.win_rate.n for game in met], dtype=np.float64)
    won = labels * np.array([game.win_rate.estimate for game in met], dtype=np.float64)
    counts = np.concatenate([won, labels - won])
    rows, columns = np.concatenate([one, two]), np.concatenate([two, one])
    return sparse.coo_array((counts, (rows, columns)), shape=(len(places), len(places)))
