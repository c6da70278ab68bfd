"""What the answers of a campaign say about it, and about each of its people: pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from annotation.statistics.agreement import (
    alpha_estimate,
    gwet_estimate,
    pair_estimate,
    vote_counts,
)
from annotation.statistics.estimates import (
    FloatArray,
    Gauged,
    IntArray,
    share_estimate,
    share_over_people,
    shares_differ,
)
from annotation.statistics.reliability import reliability_fit

from .answers import GOLD, REPEAT, AnswerArrays

Mask = npt.NDArray[np.bool_]
PARTS = 8  # of a person's answers, by time, for their curve
FEWEST_FOR_DRIFT = 20  # answers in each half
WEEKS = 12
NEVER = 9  # in place of a side that was never said


@dataclass(frozen=True)
class Tally:
    """By person: `hits` of `asked`; a hit may be a share of one."""

    hits: FloatArray
    asked: FloatArray

    def over_all(self, counted: Mask) -> Gauged | None:
        return share_over_people(self.hits[counted], self.asked[counted])

    def of(self, rater: int) -> Gauged | None:
        return share_estimate(float(self.hits[rater]), int(self.asked[rater]))


@dataclass(frozen=True)
class Agreement:
    """Beyond chance on the seven steps and on the side alone (a tie is a side of its own), and the plain
    share of pairs of votes that chose the same side, ties left out. Intervals draw pairs again."""

    alpha_steps: Gauged | None
    alpha_side: Gauged | None
    gwet_steps: Gauged | None
    gwet_side: Gauged | None
    share: Gauged | None


@dataclass(frozen=True)
class Habits:
    """Shares by person that mean the same for one person and for all."""

    gold: Tally
    repeats: Tally
    left: Tally
    longer: Tally
    with_others: Tally
    ties: Tally


def agreement(answers: AnswerArrays) -> Agreement:
    """Of training and gate pairs that two people or more have judged, by people who are not excluded;
    without pairs that were asked again because votes differed. What Gwet's coefficients take for chance is
    said on the pairs of one judge too."""
    kept = answers.where(answers.asked & answers.of_counted_raters & ~answers.adaptive)
    steps = vote_counts(kept.pair, kept.value - 1, 7)
    sides = vote_counts(kept.pair, kept.side + 1, 3)
    every_step = vote_counts(kept.pair, kept.value - 1, 7, fewest=1)
    every_side = vote_counts(kept.pair, kept.side + 1, 3, fewest=1)
    decided = kept.side != 0
    chosen = vote_counts(kept.pair[decided], (kept.side[decided] + 1) // 2, 2)
    return Agreement(
        alpha_steps=alpha_estimate(*steps, metric="ordinal"),
        alpha_side=alpha_estimate(*sides, metric="nominal"),
        gwet_steps=gwet_estimate(*every_step, weights="ordinal"),
        gwet_side=gwet_estimate(*every_side, weights="identity"),
        share=pair_estimate(*chosen),
    )


def habits(answers: AnswerArrays) -> Habits:
    asked, decided = answers.asked, answers.side != 0
    shown, lengths = asked & decided & answers.drawn, asked & decided & (answers.longer != 0)
    gold = answers.purpose == GOLD
    same, repeated = _repeats(answers)
    shared, agreeing = with_others(answers)
    return Habits(
        gold=_tally(answers, gold, answers.right),
        repeats=_tally(answers, repeated, same),
        left=_tally(answers, shown, answers.left < 0),
        longer=_tally(answers, lengths, answers.longer == answers.side),
        with_others=_tally(answers, shared, agreeing),
        ties=_tally(answers, asked, ~decided),
    )


def _tally(answers: AnswerArrays, mask: Mask, hits: Mask | FloatArray) -> Tally:
    people = len(answers.raters)
    return Tally(
        np.bincount(answers.rater[mask], weights=hits[mask], minlength=people).astype(np.float64),
        np.bincount(answers.rater[mask], minlength=people).astype(np.float64),
    )


def _repeats(answers: AnswerArrays) -> tuple[Mask, Mask]:
    """Of each answer: whether it repeats one of the same person on the same side, and whether it
    repeats one at all (that is still among the answers read)."""
    repeat = answers.purpose == REPEAT
    asked = answers.asked
    places = zip(answers.rater[asked], answers.pair[asked], strict=True)
    earlier = dict(zip(places, answers.side[asked], strict=True))
    keys = zip(answers.rater, answers.original, strict=True)
    found = [earlier.get(key, NEVER) for key in keys]
    before = np.where(repeat, np.array(found, dtype=np.int64), NEVER)
    return before == answers.side, before != NEVER


def with_others(answers: AnswerArrays) -> tuple[Mask, FloatArray]:
    """Of each answer: whether it chose a side on a pair where another person who counts did too, and the
    share of those others who chose the same."""
    decided = answers.asked & (answers.side != 0)
    voting = decided & answers.of_counted_raters
    pairs = answers.pair.max(initial=-1) + 1
    first = np.bincount(answers.pair[voting & (answers.side < 0)], minlength=pairs)
    second = np.bincount(answers.pair[voting & (answers.side > 0)], minlength=pairs)
    own = voting.astype(np.int64)
    same = np.where(answers.side < 0, first[answers.pair], second[answers.pair]) - own
    others = first[answers.pair] + second[answers.pair] - own
    return decided & (others > 0), same / np.maximum(others, 1)


def reliabilities(answers: AnswerArrays) -> list[Gauged | None]:
    """By person, from the pairs that two people or more have judged; None for who judged none of them."""
    mask = answers.asked & answers.of_counted_raters
    votes = np.bincount(answers.pair[mask], minlength=answers.pair.max(initial=-1) + 1)
    mask &= votes[answers.pair] >= 2
    found: list[Gauged | None] = [None] * len(answers.raters)
    if not mask.any():
        return found
    _, items = np.unique(answers.pair[mask], return_inverse=True)
    people, raters = np.unique(answers.rater[mask], return_inverse=True)
    fit = reliability_fit(items, raters, answers.side[mask] + 1, answers.flipped[mask])
    for code, estimate in zip(people, fit.by_rater, strict=True):
        found[code] = estimate
    return found


@dataclass(frozen=True)
class Drift:
    """How a person's agreement with others went: by part, oldest first, and from the first half to the
    second; `low` and `high` bound that change."""

    parts: tuple[float, ...]
    change: float
    low: float
    high: float


def drifts(answers: AnswerArrays) -> list[Drift | None]:
    """By person; None with fewer than `FEWEST_FOR_DRIFT` answers in a half."""
    shared, agreeing = with_others(answers)
    oldest_first = agreeing[shared][::-1]
    return [_drift(part) for part in _by_rater(answers.rater[shared][::-1], oldest_first, answers)]


def _drift(agreeing: FloatArray) -> Drift | None:
    half = len(agreeing) // 2
    earlier = share_estimate(float(agreeing[:half].sum()), half)
    later = share_estimate(float(agreeing[half:].sum()), len(agreeing) - half)
    if half < FEWEST_FOR_DRIFT or earlier is None or later is None:
        return None
    low, high = shares_differ(earlier, later)
    parts = tuple(float(part.mean()) for part in np.array_split(agreeing, PARTS))
    return Drift(parts, later.value - earlier.value, low, high)


def seconds_by_rater(answers: AnswerArrays) -> list[float | None]:
    """The median time of an answer, by person."""
    return [median(part) for part in _by_rater(answers.rater, answers.seconds, answers)]


def _by_rater(raters: IntArray, values: FloatArray, answers: AnswerArrays) -> list[FloatArray]:
    """The values of each person in the order given."""
    order = np.argsort(raters, kind="stable")
    ends = np.cumsum(np.bincount(raters, minlength=len(answers.raters)))
    return np.split(values[order], ends[:-1]) if len(ends) else []


@dataclass(frozen=True)
class Week:
    """The answers of one week that began on `start` (UTC); None where nothing of the kind was there."""

    start: datetime
    answers: int
    seconds: float | None
    agreeing: float | None


def weeks(answers: AnswerArrays) -> list[Week]:
    """The last weeks up to the newest answer, oldest first; people who are excluded are left out."""
    kept = answers.where(answers.of_counted_raters)
    if not len(kept.at):
        return []
    newest = datetime.fromtimestamp(float(kept.at.max()), UTC)
    monday = (newest - timedelta(days=newest.weekday())).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    shared, agreeing = with_others(kept)
    found = []
    for back in range(WEEKS - 1, -1, -1):
        start = monday - timedelta(weeks=back)
        here = kept.at >= start.timestamp()
        here &= kept.at < (start + timedelta(weeks=1)).timestamp()
        found.append(
            Week(start, int(here.sum()), median(kept.seconds[here]), _mean(agreeing[here & shared]))
        )
    first = next(i for i, week in enumerate(found) if week.answers)
    return found[first:]


def median(seconds: FloatArray) -> float | None:
    known = seconds[~np.isnan(seconds)]
    return float(np.median(known)) if len(known) else None


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if len(values) else None


def labels_by_rater(answers: AnswerArrays) -> IntArray:
    return np.bincount(answers.rater[answers.asked], minlength=len(answers.raters))
