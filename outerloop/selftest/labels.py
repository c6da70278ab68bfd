"""What simulated people say of two texts: labels for a reward model, and the gate's, drawn anew each time."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from annotation.contracts import GateLabel
from outerloop.demo.annotators import SimulatedAnnotator, annotator_rng, judge, judge_scored
from outerloop.demo.gold import GoldScore, gold_score
from outerloop.demo.world import DemoPrompt

Text = tuple[str, bool]
"""A completion, and whether it ended by itself."""

CANDIDATE, INCUMBENT = uuid.UUID(int=1), uuid.UUID(int=2)
SIDES = {"candidate": CANDIDATE, "incumbent": INCUMBENT}
WHEN = datetime(2026, 1, 1, tzinfo=UTC)  # no check reads when a label was given
RATE_DRAWS = 40  # of every pair, for the win rate that labels have in the long run


def preference_rows(
    seed: int,
    people: Sequence[SimulatedAnnotator],
    asked: Sequence[DemoPrompt],
    pairs: Sequence[Sequence[Text]],
) -> list[dict[str, Any]]:
    """One label a pair, in the rows that the reward recipe reads; people in turn."""
    rows = []
    for i, (prompt, (left, right)) in enumerate(zip(asked, pairs, strict=True)):
        person = people[i % len(people)]
        scale = judge(
            person,
            prompt.messages,
            left[0],
            right[0],
            annotator_rng(seed, person.name, prompt.external_id),
            left_ended=left[1],
            right_ended=right[1],
        ).scale
        rows.append(
            {
                "id": f"pair-{i}",
                "group": prompt.external_id,
                "messages": list(prompt.messages),
                "completions": [left[0], right[0]],
                "preference": 0.5 if scale == 4 else float(scale < 4),
                "strength": float(scale),
                "weight": 1.0,
                "split": "test" if i % 10 == 0 else "validation" if i % 20 == 1 else "train",
                "rater": person.name,
            }
        )
    return rows


@dataclass(frozen=True)
class JudgedPair:
    """Two texts that may be shown to people, with their gold and the training reward model's scores."""

    prompt: str
    group: str
    texts: tuple[str, str]
    gold: tuple[GoldScore, GoldScore]
    scores: tuple[float, float]

    @property
    def identical(self) -> bool:
        return self.texts[0] == self.texts[1]


@dataclass(frozen=True)
class Offered:
    """For every prompt the (candidate, incumbent) pair, and one of two answers of the incumbent."""

    candidate: tuple[JudgedPair, ...]
    twin: tuple[JudgedPair, ...]


def offered(rows: Sequence[Mapping[str, Any]]) -> Offered:
    """From the `samples` of a policy evaluation with two samples a prompt.

    The candidate's second answer stands beside the incumbent's first, since answers that are drawn with
    one seed are alike where the policies are.
    """
    first = {row["prompt_id"]: row for row in rows if row["sample"] == 0}
    second = {row["prompt_id"]: row for row in rows if row["sample"] == 1}
    return Offered(
        tuple(_pair(row, second[p]["candidate"], row["incumbent"]) for p, row in first.items()),
        tuple(_pair(row, second[p]["incumbent"], row["incumbent"]) for p, row in first.items()),
    )


def _pair(row: Mapping[str, Any], left: Mapping[str, Any], right: Mapping[str, Any]) -> JudgedPair:
    sides = (left, right)
    gold = [gold_score(row["messages"], side["text"], side["ended"]) for side in sides]
    return JudgedPair(
        prompt=str(uuid.uuid5(uuid.NAMESPACE_OID, row["prompt_id"])),
        group=row["group"],
        texts=(left["text"], right["text"]),
        gold=(gold[0], gold[1]),
        scores=(float(left["scores"]["train"]), float(right["scores"]["train"])),
    )


def gold_win_rate(pairs: Sequence[JudgedPair]) -> float:
    """Wins and half the ties by the gold itself."""
    gaps = np.array([pair.gold[0].total - pair.gold[1].total for pair in pairs])
    return float(np.where(np.abs(gaps) < 1e-9, 0.5, gaps > 0).mean())


def label_win_rate(
    pairs: Sequence[JudgedPair], people: Sequence[SimulatedAnnotator], seed: int
) -> float:
    """Wins and half the ties that labels of these people have in the long run, identical texts left out."""
    rng = random.Random(f"rate {seed}")
    shown = [pair for pair in pairs if not pair.identical]
    values = [_value(pair, rng.choice(people), rng) for pair in shown for _ in range(RATE_DRAWS)]
    sides = [0.5 if value == 4 else float(value < 4) for value in values]
    return float(np.mean(sides)) if sides else 0.5


def mixing_share(rate: float, wanted: float) -> float:
    """The share of prompts that a candidate of win rate `rate` answers where the incumbent answers the
    rest, so that together they win `wanted`; 1 where it does not win as much."""
    return min(1.0, (wanted - 0.5) / (rate - 0.5)) if rate > wanted else 1.0


def labels_redrawn(
    offer: Offered,
    people: Sequence[SimulatedAnnotator],
    *,
    share: float,
    most: int,
    rng: random.Random,
) -> list[tuple[GateLabel, JudgedPair]]:
    """One label a fresh prompt, people in a drawn order of turns, until `most` or the prompts end.

    On a `share` of the prompts the candidate's pair is shown, on the others the incumbent's own. As in
    the product, nobody is asked about identical texts, and which side a text stands on is drawn.
    """
    order = list(range(len(offer.candidate)))
    rng.shuffle(order)
    turns = list(people)
    found: list[tuple[GateLabel, JudgedPair]] = []
    for at in order:
        pair = (offer.candidate if rng.random() < share else offer.twin)[at]
        if pair.identical:
            continue
        if len(found) == most:
            break
        if len(found) % len(turns) == 0:
            rng.shuffle(turns)
        found.append((_label(pair, turns[len(found) % len(turns)], rng), pair))
    return found


def _label(pair: JudgedPair, person: SimulatedAnnotator, rng: random.Random) -> GateLabel:
    turned = rng.random() < 0.5
    value = _value(pair, person, rng)
    prompt = uuid.UUID(pair.prompt)
    return GateLabel(
        comparison_id=prompt,
        prompt_id=prompt,
        group=pair.group,
        rater=person.name,
        slot_versions=(INCUMBENT, CANDIDATE) if turned else (CANDIDATE, INCUMBENT),
        value=8 - value if turned else value,
        both_bad=False,
        at=WHEN,
        texts=pair.texts[::-1] if turned else pair.texts,
    )


def _value(pair: JudgedPair, person: SimulatedAnnotator, rng: random.Random) -> int:
    """1..7, under 4 where the first text is preferred."""
    return judge_scored(person, pair.gold, rng, identical=pair.identical).scale
