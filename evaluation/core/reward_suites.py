"""A reward model on a suite: does it score the better answers above the worse ones, and is that length?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb

import numpy as np

from evaluation.contracts import (
    Interval,
    LengthBias,
    RewardSuite,
    RewardSuiteItem,
    RewardSuiteMeasurements,
    SuiteAccuracy,
)
from evaluation.core.rewardbench import subset_weights
from evaluation.statistics.intervals import (
    FloatArray,
    cluster_share_interval,
    weighted_share_interval,
)
from training.core.reward.scoring import Conversation, RewardModel

__all__ = ["Question", "questions_credit", "reward_suite_measure", "suite_questions"]


@dataclass(frozen=True)
class Question:
    """Every one of the `chosen` texts should be above every one of the `rejected`, all of prompt number
    `prompt`; they are rows of the suite's scores."""

    prompt: int
    subset: str
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def chance(self) -> float:
        """How often scores that say nothing put all chosen above all rejected."""
        return 1 / comb(len(self.chosen) + len(self.rejected), len(self.chosen))


@dataclass(frozen=True)
class SuiteScores:
    """The texts of a suite: T scores of either model (`held_out` None where there is none), T lengths in
    tokens, how many were cut."""

    score: FloatArray
    held_out: FloatArray | None
    tokens: FloatArray
    cut: int


@dataclass(frozen=True)
class Credits:
    """What each of Q questions is worth to the reward model, the held-out one, and length alone."""

    accuracy: FloatArray
    held_out: FloatArray | None
    length: FloatArray


def reward_suite_measure(
    suite: RewardSuite,
    model: RewardModel,
    held_out: RewardModel | None,
    *,
    sha256: str,
    direction: float,
    batch_size: int = 64,
    level: float = 0.95,
) -> RewardSuiteMeasurements:
    """Measure a reward model, and the one that was held out, on `suite`; a tie counts by how many share it.

    `direction` is +1 where the length-only baseline takes the longer answer, -1 where the shorter.
    Intervals are clustered by prompt. Every text is scored once, however many questions hold it.
    """
    texts, questions = suite_questions(suite)
    scored = _scored(texts, model, held_out, batch_size)
    return _measured(suite.name, sha256, questions, scored, direction, level)


def suite_questions(suite: RewardSuite) -> tuple[list[Conversation], list[Question]]:
    """The texts to score, each once, and the questions about them."""
    prompts: dict[str, int] = {}
    rows: dict[tuple[int, str], int] = {}
    texts: list[Conversation] = []
    questions: list[Question] = []

    def row(prompt: int, item: RewardSuiteItem, text: str) -> int:
        key = (prompt, text)
        if key not in rows:
            rows[key] = len(texts)
            texts.append((item.messages, text))
        return rows[key]

    for item in suite.items:
        prompt = prompts.setdefault(repr(item.messages), len(prompts))
        chosen, rejected = (
            tuple(row(prompt, item, text) for text in side) for side in (item.chosen, item.rejected)
        )
        if item.by_style:
            questions += _by_style(prompt, item.subset, chosen, rejected)
        else:
            questions.append(Question(prompt, item.subset, chosen, rejected))
    return texts, questions


def _by_style(
    prompt: int, subset: str, chosen: Sequence[int], rejected: Sequence[int]
) -> Iterable[Question]:
    """Hard where the rejected answer is the more embellished, easy where the chosen one is."""
    for (i, better), (j, worse) in product(enumerate(chosen), enumerate(rejected)):
        how = "hard" if i < j else "easy" if i > j else "normal"
        yield Question(prompt, f"{subset}, {how}".removeprefix(", "), (better,), (worse,))


def questions_credit(questions: Sequence[Question], scores: FloatArray) -> FloatArray:
    """1 where all chosen score above all rejected, 0 where a rejected one scores above a chosen [Q].

    Where m rejected share the score of the worst chosen, 1 / (1 + m): half for a pair, as RewardBench
    counts a tie, and for one chosen among several what RewardBench 2 credits.
    """
    return np.array([_credit(scores[list(q.chosen)], scores[list(q.rejected)]) for q in questions])


def _credit(chosen: FloatArray, rejected: FloatArray) -> float:
    worst = chosen.min()
    if (rejected > worst).any():
        return 0.0
    return 1 / (1 + int((rejected == worst).sum()))


def _scored(
    texts: Sequence[Conversation],
    model: RewardModel,
    held_out: RewardModel | None,
    batch_size: int,
) -> SuiteScores:
    found = model.score(texts, batch_size=batch_size)
    other = None if held_out is None else _scores(held_out, texts, batch_size)
    lengths = [float(sum(encoded.trained)) for encoded in model.encode(texts)]
    return SuiteScores(found.raw.mean(0).double().numpy(), other, np.array(lengths), found.cut)


def _scores(model: RewardModel, texts: Sequence[Conversation], batch_size: int) -> FloatArray:
    scores: FloatArray = model.score(texts, batch_size=batch_size).raw.mean(0).double().numpy()
    return scores


def _measured(
    name: str,
    sha256: str,
    questions: Sequence[Question],
    scored: SuiteScores,
    direction: float,
    level: float,
) -> RewardSuiteMeasurements:
    other = scored.held_out
    credits = Credits(
        accuracy=questions_credit(questions, scored.score),
        held_out=None if other is None else questions_credit(questions, other),
        length=questions_credit(questions, direction * scored.tokens),
    )
    subsets = list(dict.fromkeys(q.subset for q in questions))
    weights, sections = subset_weights(subsets)
    models = {"reward_model": scored.score, "held_out_reward_model": other}
    return RewardSuiteMeasurements(
        suite=name,
        sha256=sha256,
        prompts=len({q.prompt for q in questions}),
        mean=_accuracy("", questions, credits, weights, level),
        subsets=tuple(
            _accuracy(subset, questions, credits, {subset: 1.0}, level) for subset in subsets
        ),
        bias={
            side: length_bias(questions, scores, scored.tokens, level=level)
            for side, scores in models.items()
            if scores is not None
        },
        sections=sections,
        texts=len(scored.tokens),
        cut=scored.cut,
    )


def _accuracy(
    subset: str,
    questions: Sequence[Question],
    credits: Credits,
    weights: dict[str, float],
    level: float,
) -> SuiteAccuracy:
    """The weighted mean over the subsets that have a weight, of every scorer."""
    rows = [i for i, q in enumerate(questions) if q.subset in weights]
    kept = [questions[i] for i in rows]
    strata, prompts = [q.subset for q in kept], [q.prompt for q in kept]
    sizes = {s: strata.count(s) for s in weights}

    def interval(values: FloatArray) -> Interval:
        return weighted_share_interval(values[rows], strata, prompts, weights=weights, level=level)

    held_out = credits.held_out
    return SuiteAccuracy(
        subset=subset,
        questions=len(kept),
        accuracy=interval(credits.accuracy),
        held_out=None if held_out is None else interval(held_out),
        length=interval(credits.length),
        chance=sum(weights[q.subset] * q.chance / sizes[q.subset] for q in kept),
    )


def length_bias(
    questions: Sequence[Question], scores: FloatArray, tokens: FloatArray, *, level: float = 0.95
) -> LengthBias:
    """Accuracy by which of a chosen and a rejected answer is the shorter in tokens.

    All pairs of a question, whose mean is one value, so that no question counts more for its many answers.
    """
    shorter, longer = (
        _pairs_interval(questions, scores, sign * tokens, level) for sign in (1.0, -1.0)
    )
    return LengthBias(shorter, longer)


def _pairs_interval(
    questions: Sequence[Question], scores: FloatArray, size: FloatArray, level: float
) -> Interval | None:
    """On pairs whose chosen answer has the smaller size; None under two prompts."""
    values, prompts = [], []
    for question in questions:
        right = [
            (np.sign(scores[c] - scores[r]) + 1) / 2
            for c, r in product(question.chosen, question.rejected)
            if size[c] < size[r]
        ]
        if right:
            values.append(float(np.mean(right)))
            prompts.append(question.prompt)
    if len(set(prompts)) < 2:
        return None
    return cluster_share_interval(values, prompts, level=level)
