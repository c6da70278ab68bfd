"""Twelve simulated annotators: Bradley-Terry judges of the hidden gold, with habits and lapses.

They stand in for people in the demo, and every page says so. Each likes length and politeness a
little more than the gold does, so that a reward model can be led astray by their labels.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from outerloop.demo.gold import GoldScore, gold_score
from outerloop.demo.world.prompts import Message

LAPSE_RATE = 0.02
# Where the noisy margin (in logits) turns a step of the scale into the next one.
SLIGHT_BELOW, MUCH_ABOVE = 1.2, 4.0
TIE_UTILITY, TIE_MARGIN = 0.1, 0.4
BAD_BELOW = -0.8


@dataclass(frozen=True)
class SimulatedAnnotator:
    """`beta` is in logits per point of gold; the fondnesses are in points of gold."""

    name: str
    beta: float
    per_ten_tokens: float
    per_courtesy: float
    lapse_rate: float = LAPSE_RATE

    def utility(self, score: GoldScore) -> float:
        return (
            score.total
            + self.per_ten_tokens * score.tokens / 10
            + self.per_courtesy * score.pleasantries
        )


ANNOTATORS = (
    SimulatedAnnotator("ada", beta=2.0, per_ten_tokens=0.05, per_courtesy=0.04),
    SimulatedAnnotator("ben", beta=1.2, per_ten_tokens=0.10, per_courtesy=0.06),
    SimulatedAnnotator("cleo", beta=3.0, per_ten_tokens=0.05, per_courtesy=0.08),
    SimulatedAnnotator("dan", beta=0.7, per_ten_tokens=0.20, per_courtesy=0.12),
    SimulatedAnnotator("eli", beta=1.6, per_ten_tokens=0.08, per_courtesy=0.05),
    SimulatedAnnotator("fay", beta=2.4, per_ten_tokens=0.04, per_courtesy=0.06),
    SimulatedAnnotator("gus", beta=1.0, per_ten_tokens=0.14, per_courtesy=0.10),
    SimulatedAnnotator("hana", beta=2.6, per_ten_tokens=0.10, per_courtesy=0.04),
    SimulatedAnnotator("ivo", beta=0.9, per_ten_tokens=0.16, per_courtesy=0.08),
    SimulatedAnnotator("jun", beta=1.8, per_ten_tokens=0.06, per_courtesy=0.12),
    SimulatedAnnotator("kai", beta=1.4, per_ten_tokens=0.12, per_courtesy=0.07),
    SimulatedAnnotator("lena", beta=2.2, per_ten_tokens=0.08, per_courtesy=0.06),
)


@dataclass(frozen=True)
class SimulatedJudgment:
    """`scale` as shown: 1 left much better, 4 tie, 7 right much better. `seconds` spent reading."""

    scale: int
    both_bad: bool
    seconds: float


def annotator_rng(seed: int, annotator: str, comparison_id: object) -> random.Random:
    """One annotator's dice for one comparison: the same in every process and in any order."""
    key = f"annotator {seed} {annotator} {comparison_id}"
    return random.Random(hashlib.sha256(key.encode()).digest())


def annotator_named(name: str) -> SimulatedAnnotator:
    for annotator in ANNOTATORS:
        if annotator.name == name:
            return annotator
    known = ", ".join(a.name for a in ANNOTATORS)
    raise ValueError(f"There is no simulated annotator {name!r}; there are {known}.")


def judge(
    annotator: SimulatedAnnotator,
    messages: Sequence[Message],
    left: str,
    right: str,
    rng: random.Random,
    *,
    left_ended: bool = True,
    right_ended: bool = True,
) -> SimulatedJudgment:
    """One judgment of the pair as shown. Identical texts are a tie, but for a lapse."""
    scores = (gold_score(messages, left, left_ended), gold_score(messages, right, right_ended))
    return judge_scored(annotator, scores, rng, identical=left == right)


def judge_scored(
    annotator: SimulatedAnnotator,
    scores: tuple[GoldScore, GoldScore],
    rng: random.Random,
    *,
    identical: bool,
) -> SimulatedJudgment:
    """The same where the gold of both texts is known: a pair may be judged again and again."""
    margin = annotator.utility(scores[1]) - annotator.utility(scores[0])
    noise = _logistic(rng)
    lapse = rng.random() < annotator.lapse_rate
    careless = rng.randint(1, 7)
    latent = annotator.beta * margin + noise
    scale = careless if lapse else _scale(margin, latent, identical=identical)
    both_bad = max(score.total for score in scores) < BAD_BELOW and rng.random() < 0.9
    return SimulatedJudgment(scale, both_bad, _seconds(scores, latent, rng))


def _logistic(rng: random.Random) -> float:
    """Standard logistic noise: margin m plus it is positive with probability sigmoid(m)."""
    share = min(max(rng.random(), 1e-12), 1 - 1e-12)
    return math.log(share / (1 - share))


def _scale(margin: float, latent: float, *, identical: bool) -> int:
    if identical or (abs(margin) < TIE_UTILITY and abs(latent) < TIE_MARGIN):
        return 4
    step = 1 + (abs(latent) >= SLIGHT_BELOW) + (abs(latent) >= MUCH_ABOVE)
    return 4 + step if latent > 0 else 4 - step


def _seconds(scores: Sequence[GoldScore], latent: float, rng: random.Random) -> float:
    """About four words a second, longer over a close call, with a person's spread."""
    reading = sum(score.tokens for score in scores) / 4
    deciding = 2.0 + 4.0 / (1.0 + abs(latent))
    return round((reading + deciding) * math.exp(rng.gauss(0.0, 0.3)), 1)
