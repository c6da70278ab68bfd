"""Shares of thumbs down, with the weight of one user capped, and the conversations where they stand out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from annotation.statistics.estimates import wilson_bounds

MOST_WEIGHT = 3.0
FEWEST_USERS = 5


@dataclass(frozen=True)
class ThumbShare:
    """`share` of thumbs down in [0, 1] with a 95% interval; `users` is how many gave a thumb."""

    share: float
    low: float
    high: float
    users: int


@dataclass(frozen=True)
class Thumbs:
    """How many thumbs a user gave on a conversation, and how many of them down."""

    conversation: str
    user: str
    given: int
    down: int


def thumb_share(users: Iterable[tuple[int, int]]) -> ThumbShare | None:
    """From (thumbs, thumbs down) of each user; None where nobody gave one.

    A user with n thumbs weighs min(n, MOST_WEIGHT), spread over them. The interval is Wilson's (1927)
    at Kish's effective size (sum w)^2 / sum w^2 (1965), which takes the thumbs of one user for a
    single one: it is too wide rather than too narrow where they differ.
    """
    given = [(min(float(n), MOST_WEIGHT), down / n) for n, down in users if n]
    if not given:
        return None
    total = sum(weight for weight, _ in given)
    return _share(given, size=total**2 / sum(weight**2 for weight, _ in given))


def troubled(thumbs: Iterable[Thumbs]) -> list[tuple[str, ThumbShare]]:
    """The conversations with more thumbs down than the others, the surest first.

    On one conversation a user has one vote, the share of their thumbs down, and a user who spoke about m
    conversations weighs min(1, MOST_WEIGHT / m) on each: k users together never weigh more than
    k * MOST_WEIGHT. Wilson's interval is at the summed weight of a conversation, which must be
    FEWEST_USERS or more; listed is what lies with all of its interval above the share of all thumbs,
    by the lower bound.
    """
    rows = list(thumbs)
    spoken = Counter(row.user for row in rows)
    votes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        weight = min(1.0, MOST_WEIGHT / spoken[row.user])
        votes[row.conversation].append((weight, row.down / row.given))
    everything = [vote for found in votes.values() for vote in found]
    if not everything:
        return []
    ordinary = _share(everything, size=_weight(everything)).share
    shares = {
        name: _share(found, size=_weight(found))
        for name, found in votes.items()
        if _weight(found) > FEWEST_USERS - 1e-9
    }
    listed = [(name, share) for name, share in shares.items() if share.low > ordinary]
    return sorted(listed, key=lambda each: (-each[1].low, each[0]))


def _weight(votes: list[tuple[float, float]]) -> float:
    return sum(weight for weight, _ in votes)


def _share(votes: list[tuple[float, float]], *, size: float) -> ThumbShare:
    """Of (weight, share) of each user, at an effective sample size."""
    share = min(1.0, sum(weight * mean for weight, mean in votes) / _weight(votes))
    low, high = wilson_bounds(share, size)
    return ThumbShare(share, low, high, len(votes))
