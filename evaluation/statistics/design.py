"""What a piece of labelling takes before it is begun: labels, days, cost, and how well it will be known.

Two people who both choose a side agree with probability a. If everybody is right equally often, on every
pair and by themselves, that is q = (1 + sqrt(2 a - 1)) / 2, from a = q^2 + (1 - q)^2. Pairs that differ in
how hard they are, or people who err alike, are not in it; ties are asked like other answers and left out of
the two shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from annotation.statistics.overlap import asks_again
from evaluation.statistics.planning import MOST, fixed_sample_labels, labels_for_power

__all__ = ["LabellingDesign", "LabellingQuestion", "TooManyLabels", "labelling_design"]


class TooManyLabels(ValueError):
    """No number of labels in reach shows what is asked; the message says what would help."""


@dataclass(frozen=True)
class LabellingQuestion:
    """`pairs` for training, each asked of `overlap` people, or with `sure` of as many as make its better
    side that sure and of `most` at most; a share `sample_share` of `sample_size` people whatever they say.
    A gate that is to show a win rate `effect` (ties aside) at `level`, with `people` annotators.

    Raises `ValueError` where a figure cannot be what it says.
    """

    agreement: float
    effect: float
    level: float
    people: int
    pairs: int
    overlap: int = 1
    sure: float | None = None
    most: int = 5
    sample_share: float = 0.1
    sample_size: int = 3
    ties: float = 0.0
    labels_a_day: float = 100.0
    cost_a_label: float = 0.0

    def __post_init__(self) -> None:
        for name, good, says in (
            ("agreement", 0.5 <= self.agreement <= 1, "between 0.5 (chance) and 1"),
            ("effect", 0.5 < self.effect < 1, "above 0.5 and below 1"),
            ("level", 0 < self.level < 1, "between 0 and 1"),
            ("ties", 0 <= self.ties < 1, "from 0 to below 1"),
            ("sure", self.sure is None or 0.5 < self.sure < 1, "above 0.5 and below 1"),
            ("sample_share", 0 <= self.sample_share <= 1, "from 0 to 1"),
            ("people", 2 <= self.people <= 100_000, "from 2 to 100,000"),
            ("pairs", 0 <= self.pairs <= 10**9, "from 0 to 1,000,000,000"),
            ("overlap", 1 <= self.overlap <= 100, "from 1 to 100"),
            ("most", 2 <= self.most <= 100, "from 2 to 100"),
            ("sample_size", 1 <= self.sample_size <= 100, "from 1 to 100"),
            ("labels_a_day", 0 < self.labels_a_day < math.inf, "above 0"),
            ("cost_a_label", 0 <= self.cost_a_label < math.inf, "0 or above"),
        ):
            if not good:
                raise ValueError(
                    f"{name.replace('_', '-')} must be {says}, not {getattr(self, name)!r}."
                )


@dataclass(frozen=True)
class LabellingDesign:
    """`gate_labels` show the effect four times in five, `gate_limit` in a test that is looked at once.

    `votes_a_pair` of the pairs outside the sample, whose majority is right with `majority_right` (a draw is
    right half the time). `agreement_reach` is half the 95 % interval of the share of agreeing votes on
    `sample_pairs`; None where no pair gets two. `labels` are all together.
    """

    gate_labels: int
    gate_limit: int
    votes_a_pair: float
    majority_right: float
    training_labels: int
    sample_pairs: int
    agreement_reach: float | None
    labels: int
    days: int
    cost: float


def labelling_design(asked: LabellingQuestion) -> LabellingDesign:
    right = (1 + math.sqrt(2 * asked.agreement - 1)) / 2
    votes, majority = _asked_of(asked, right)
    sampled, each = round(asked.pairs * asked.sample_share), max(asked.overlap, asked.sample_size)
    training = round((asked.pairs - sampled) * votes) + sampled * each
    gate = _gate_labels(asked)
    labels = training + gate
    return LabellingDesign(
        gate_labels=gate,
        gate_limit=fixed_sample_labels(asked.effect, level=asked.level, ties=asked.ties),
        votes_a_pair=votes,
        majority_right=majority,
        training_labels=training,
        sample_pairs=sampled,
        agreement_reach=_agreement_reach(right, sampled, each),
        labels=labels,
        days=math.ceil(labels / asked.labels_a_day),
        cost=labels * asked.cost_a_label,
    )


def _gate_labels(asked: LabellingQuestion) -> int:
    """As planned for a gate; raises `TooManyLabels` where no number in reach shows the effect."""
    try:
        return labels_for_power(
            asked.effect, level=asked.level, ties=asked.ties, people=asked.people
        )
    except ValueError as error:
        raise TooManyLabels(
            f"A win rate of {asked.effect:.0%} takes more than {MOST:,} labels with {asked.people}"
            f" annotators and {asked.ties:.0%} ties: plan with more annotators or a larger win rate."
        ) from error


def _asked_of(asked: LabellingQuestion, right: float) -> tuple[float, float]:
    """(votes a pair, probability that the majority is right), over all courses that the votes can take.

    With `sure` people answer one after another; several at once can take a vote more.
    """
    open_courses, votes, majority = {(0, 0): 1.0}, 0.0, 0.0
    while open_courses:
        further: dict[tuple[int, int], float] = {}
        for (good, bad), chance in open_courses.items():
            if _goes_on(asked, good, bad):
                further[good + 1, bad] = further.get((good + 1, bad), 0.0) + chance * right
                further[good, bad + 1] = further.get((good, bad + 1), 0.0) + chance * (1 - right)
            else:
                votes += chance * (good + bad)
                majority += chance * (1.0 if good > bad else 0.5 if good == bad else 0.0)
        open_courses = further
    return votes, majority


def _goes_on(asked: LabellingQuestion, good: int, bad: int) -> bool:
    if asked.sure is None:
        return good + bad < asked.overlap
    return asks_again(good, 0, bad, sure=asked.sure, most=asked.most)


def _agreement_reach(right: float, pairs: int, votes: int) -> float | None:
    """1.96 sd / sqrt(pairs), sd of a pair's share of agreeing votes when each of `votes` is right by itself."""
    if pairs < 2 or votes < 2:
        return None
    both = votes * (votes - 1)
    share = [(k * (k - 1) + (votes - k) * (votes - k - 1)) / both for k in range(votes + 1)]
    chance = [math.comb(votes, k) * right**k * (1 - right) ** (votes - k) for k in range(votes + 1)]
    mean = float(sum(c * s for c, s in zip(chance, share, strict=True)))
    variance = float(sum(c * (s - mean) ** 2 for c, s in zip(chance, share, strict=True)))
    return 1.96 * math.sqrt(variance / pairs)
