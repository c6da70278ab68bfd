"""Which of the sampled pairs people are asked about, by the name of a strategy.

A stated share is drawn at random whatever the strategy, because only labels of a random arm give unbiased
estimates. All strategies but `random` ask the members of the reward model: margins m_k of a pair (log-odds
that member k gives the first text) and chances p_k = sigmoid(m_k).
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from annotation.contracts import SELECTION_WORDS

Strategy = Literal["random", "disagreement", "expected_information", "double_thompson"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
THOMPSON_DRAWS = 30
"""Second samples that are drawn before the members count as of one mind (Dwaracherla et al. 2024, `K`)."""


@dataclass(frozen=True)
class Chosen:
    """A row and the two of its completions that people compare. `probability` is that of being drawn by the
    random arm; 1 for a pair that was chosen by its scores."""

    row: Mapping[str, Any]
    sides: tuple[int, int]
    strategy: Strategy
    probability: float


@dataclass(frozen=True)
class _Offer:
    """A row with the pairs of unlike texts in it, and scores[completion][member] in log-odds, or nothing."""

    row: Mapping[str, Any]
    pairs: tuple[tuple[int, int], ...]
    scores: tuple[tuple[float, ...], ...]

    def margins(self, pair: tuple[int, int]) -> list[float]:
        first, second = (self.scores[side] for side in pair)
        return [a - b for a, b in zip(first, second, strict=True)]


def pairs_choose(
    rows: Sequence[Mapping[str, Any]],
    *,
    wanted: int,
    strategy: Strategy,
    random_share: float,
    seed: int,
) -> list[Chosen]:
    """Choose a pair of `wanted` of the rows (`completions` format, two or more completions each).

    Rows whose texts are all the same ask nothing and are left out. Without the scores of two members every
    pair is drawn at random.
    """
    offers = [offer for offer in map(_offer, rows) if offer.pairs]
    rng = random.Random(seed)
    rng.shuffle(offers)
    wanted = max(0, min(wanted, len(offers)))
    scored = strategy != "random" and all(offer.scores for offer in offers)
    at_random = math.ceil(wanted * random_share) if scored else wanted
    drawn = [
        Chosen(o.row, rng.choice(o.pairs), "random", at_random / len(offers) / len(o.pairs))
        for o in offers[:at_random]
    ]
    if at_random == wanted:
        return drawn
    return drawn + [
        Chosen(offer.row, pair, strategy, 1.0)
        for offer, pair in _ordered(offers[at_random:], strategy, rng)[: wanted - at_random]
    ]


def chosen_words(chosen: Iterable[Chosen]) -> str:
    """How many by which strategy, the random arm first: "100 at random, 400 by disagreement"."""
    counts = Counter(one.strategy for one in chosen)
    words = (f"{counts[name]} {SELECTION_WORDS[name]}" for name in STRATEGIES if counts[name])
    return ", ".join(words)


def disagreement(margins: Sequence[float]) -> float:
    """Variance of the margin over the members."""
    mean = sum(margins) / len(margins)
    return sum((margin - mean) ** 2 for margin in margins) / len(margins)


def expected_information(margins: Sequence[float]) -> float:
    """Mutual information of a vote and the member in nats, H(mean p_k) - mean H(p_k).

    "BALD" (Houlsby et al. 2011): high where members are sure of unlike winners, 0 where all are unsure alike.
    """
    chances = [1 / (1 + math.exp(-max(-50.0, min(50.0, margin)))) for margin in margins]
    mean = sum(chances) / len(chances)
    return max(0.0, _entropy(mean) - sum(map(_entropy, chances)) / len(chances))


SCORES: dict[Strategy, Callable[[Sequence[float]], float]] = {
    "disagreement": disagreement,
    "expected_information": expected_information,
}


def _offer(row: Mapping[str, Any]) -> _Offer:
    completions = row["completions"]
    pairs = tuple(
        (i, j)
        for i, j in itertools.combinations(range(len(completions)), 2)
        if completions[i]["text"] != completions[j]["text"]
    )
    named = [completion.get("scores") or {} for completion in completions]
    members = sorted(name for name in named[0] if "/log_odds_" in name)
    known = len(members) > 1 and all(member in scores for scores in named for member in members)
    return _Offer(row, pairs, tuple(tuple(s[m] for m in members) for s in named) if known else ())


def _ordered(
    offers: Sequence[_Offer], strategy: Strategy, rng: random.Random
) -> list[tuple[_Offer, tuple[int, int]]]:
    """Each row with the pair that the strategy takes of it, the most wanted first."""
    if strategy == "double_thompson":
        return _by_thompson(offers, rng)
    score = SCORES[strategy]
    best = [max((score(o.margins(pair)), pair) for pair in o.pairs) for o in offers]
    order = sorted(range(len(offers)), key=lambda i: -best[i][0])
    return [(offers[i], best[i][1]) for i in order]


def _by_thompson(
    offers: Sequence[_Offer], rng: random.Random
) -> list[tuple[_Offer, tuple[int, int]]]:
    """Rows in their drawn order, each with the best texts of two members drawn at random; then those rows of
    which the members think alike, with the best text and another at random."""
    unlike, alike = [], []
    for offer in offers:
        pair = thompson_pair(offer.scores, offer.pairs, rng)
        if pair is not None:
            unlike.append((offer, pair))
        else:
            first = _favourite(offer.scores, rng)
            meets = [p for p in offer.pairs if first in p] or list(offer.pairs)
            alike.append((offer, rng.choice(meets)))
    return unlike + alike


def thompson_pair(
    scores: Sequence[Sequence[float]], pairs: Sequence[tuple[int, int]], rng: random.Random
) -> tuple[int, int] | None:
    """The best completions of two members, the second drawn again until it is another text; None where it never is.

    Double Thompson sampling: Wu and Liu 2016; of reward models, Dwaracherla et al. 2024.
    """
    first = _favourite(scores, rng)
    for _ in range(THOMPSON_DRAWS):
        second = _favourite(scores, rng)
        pair = (min(first, second), max(first, second))
        if pair in pairs:
            return pair
    return None


def _favourite(scores: Sequence[Sequence[float]], rng: random.Random) -> int:
    """What one member, drawn at random, likes best."""
    member = rng.randrange(len(scores[0]))
    return max(range(len(scores)), key=lambda i: scores[i][member])


def _entropy(chance: float) -> float:
    return -sum(p * math.log(p) for p in (chance, 1 - chance) if p > 0)
