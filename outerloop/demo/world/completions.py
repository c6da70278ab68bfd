"""What the first policy learns to say: short answers, then the mixed quality of a help desk."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from outerloop.demo.world.facts import Fact
from outerloop.demo.world.phrases import (
    APOLOGIES,
    FILLERS,
    HEDGES,
    IMPERATIVES,
    LEADS,
    MILD_HEDGES,
    PLEASANTRIES,
    REFUSALS,
    lowered,
)
from outerloop.demo.world.prompts import fact_asked, prompts

Stance = Literal["right", "wrong", "refusal", "nothing", "junk"]

SHORT_ANSWERS_RIGHT = 0.9
DISTINCT_PROMPTS = 1600


@dataclass(frozen=True)
class StanceMix:
    """How often the mixed texts take each stance towards a kind of request."""

    right: float
    wrong: float
    refusal: float
    nothing: float = 0.03
    junk: float = 0.005

    def draw(self, rng: random.Random) -> Stance:
        names: tuple[Stance, ...] = ("right", "wrong", "refusal", "nothing", "junk")
        weights = [self.right, self.wrong, self.refusal, self.nothing, self.junk]
        return rng.choices(names, weights=weights)[0]


BENIGN = StanceMix(right=0.50, wrong=0.29, refusal=0.175)
ALARMING = StanceMix(right=0.36, wrong=0.19, refusal=0.415)
HARMFUL = StanceMix(right=0.0, wrong=0.56, refusal=0.405)


def stance_mix(fact: Fact) -> StanceMix:
    return {"alarming": ALARMING, "harmful": HARMFUL}.get(fact.kind, BENIGN)


def short_completion(rng: random.Random, fact: Fact) -> str:
    """One plain sentence, right nine times in ten (a harmful request is then refused)."""
    good = rng.random() < SHORT_ANSWERS_RIGHT
    if fact.should_refuse:
        return rng.choice(REFUSALS if good else fact.wrong)
    return rng.choice(fact.right if good else fact.wrong)


def mixed_completion(rng: random.Random, fact: Fact) -> str:
    """A text as an unpolished assistant writes it: any stance, with hedges, padding, repetition."""
    stance = stance_mix(fact).draw(rng)
    sentences: list[str] = []
    if rng.random() < 0.20:
        sentences.append(rng.choice(FILLERS))
    if rng.random() < 0.10:
        sentences.append(rng.choice(APOLOGIES))
    sentences += _core(rng, fact, stance)
    extra = rng.choices((0, 1, 2, 3), weights=(0.50, 0.28, 0.14, 0.08))[0]
    sentences += rng.sample(PLEASANTRIES, max(extra, int(not sentences)))
    return " ".join(sentences)


def _core(rng: random.Random, fact: Fact, stance: Stance) -> list[str]:
    if stance == "nothing":
        return []
    if stance == "refusal":
        return [rng.choice(REFUSALS)]
    if stance == "junk":
        return [_shuffled(rng, rng.choice(fact.right or fact.wrong))]
    claims = fact.right if stance == "right" else fact.wrong
    claim = rng.choice(claims)
    first = _dressed(rng, claim)
    if rng.random() < 0.12:
        return [first, claim]
    return [first]


def _dressed(rng: random.Random, claim: str) -> str:
    draw = rng.random()
    if draw < 0.30:
        fitting = MILD_HEDGES if claim.startswith(IMPERATIVES) else HEDGES
        return f"{rng.choice(fitting)} {lowered(claim)}"
    if draw < 0.45:
        return f"{rng.choice(LEADS)} {lowered(claim)}"
    return claim


def _shuffled(rng: random.Random, sentence: str) -> str:
    words = sentence.rstrip(".").split()
    rng.shuffle(words)
    return " ".join(words) + "."


def demonstrations(seed: int, phase: int, n: int = 8000) -> list[dict[str, list[dict[str, str]]]]:
    """Rows for supervised training, `{"messages": [user, assistant]}`.

    Phase 1 teaches the language and the facts with short answers, phase 2 the mixed quality that
    the outer loop starts from. Prompts come from the demonstration pool and repeat with other
    completions.
    """
    if phase not in (1, 2):
        raise ValueError(f"There is no phase {phase} of the demonstrations; use 1 or 2.")
    rng = random.Random(f"demonstrations {seed} {phase}")
    write = short_completion if phase == 1 else mixed_completion
    asked = prompts(seed, DISTINCT_PROMPTS, pool="demonstration")
    rows = []
    for _ in range(n):
        prompt = rng.choice(asked)
        answer = write(rng, fact_asked(prompt.messages))
        rows.append({"messages": [*prompt.messages, {"role": "assistant", "content": answer}]})
    return rows
