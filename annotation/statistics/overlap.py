"""When enough people have been asked about a pair."""

from __future__ import annotations

from scipy import special


def side_sureness(first: int, ties: int, second: int) -> float:
    """The probability that the side with more votes so far is the one that most people prefer.

    Votes are draws from the share p of people who prefer the first; a tie is half a vote for each. From a
    uniform prior the posterior of p is Beta(1 + first + ties/2, 1 + second + ties/2), and this is the
    larger of P(p > 1/2) and P(p < 1/2). One vote gives 0.75, two alike 0.875, two to one 0.69.
    """
    ahead, behind = max(first, second), min(first, second)
    return float(special.betaincc(1 + ahead + ties / 2, 1 + behind + ties / 2, 0.5))


def asks_again(first: int, ties: int, second: int, *, sure: float, most: int) -> bool:
    """Whether one more person is to be asked: until the better side is as sure as `sure`, or `most` people
    have answered."""
    judged = first + ties + second
    return judged < most and (not judged or side_sureness(first, ties, second) < sure)
