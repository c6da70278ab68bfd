"""What people ask: a fact's question with an opener and a closer, drawn by kind."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from outerloop.demo.world.facts import FACTS, KIND_SHARES, Fact, Kind
from outerloop.demo.world.phrases import CLOSERS, OPENERS, lowered

Message = dict[str, str]

# One quarter of all wordings is kept for the demonstrations, so that no prompt of a campaign, and
# none that a policy is judged on, was in the text it was first trained on.
Pool = Literal["demonstration", "campaign"]


@dataclass(frozen=True)
class DemoPrompt:
    """One prompt; `external_id` depends on the text alone, so that importing twice adds nothing."""

    messages: tuple[Message, ...]
    kind: Kind
    fact: str
    external_id: str

    @property
    def text(self) -> str:
        return self.messages[-1]["content"]


def worded(opener: str, question: str, closer: str) -> str:
    joined = lowered(question) if opener.endswith((",", ":")) else question
    return " ".join(part for part in (opener, joined, closer) if part)


def _pool(text: str) -> Pool:
    digest = hashlib.sha256(text.encode()).digest()
    return "demonstration" if digest[0] < 64 else "campaign"


@functools.cache
def wordings() -> dict[str, Fact]:
    """Every prompt text of the world, with the fact it asks for."""
    return {
        worded(opener, question, closer): fact
        for fact in FACTS
        for question in fact.questions
        for opener in OPENERS
        for closer in CLOSERS
    }


@functools.cache
def _wordings_by_kind(pool: Pool) -> dict[Kind, tuple[str, ...]]:
    grouped: dict[Kind, list[str]] = {kind: [] for kind in KIND_SHARES}
    for text, fact in wordings().items():
        if _pool(text) == pool:
            grouped[fact.kind].append(text)
    return {kind: tuple(texts) for kind, texts in grouped.items()}


def demo_prompt(text: str) -> DemoPrompt:
    fact = wordings()[text]
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return DemoPrompt(
        messages=({"role": "user", "content": text},),
        kind=fact.kind,
        fact=fact.name,
        external_id=f"demo-{digest}",
    )


def prompts(seed: int, n: int, *, pool: Pool = "campaign") -> list[DemoPrompt]:
    """`n` distinct prompts in the mix of `KIND_SHARES`; the same list for the same arguments.

    Raises ValueError when the pool holds fewer wordings of some kind than its share asks for.
    """
    rng = random.Random(f"prompts {seed} {pool}")
    available = {kind: list(texts) for kind, texts in _wordings_by_kind(pool).items()}
    for texts in available.values():
        rng.shuffle(texts)
    kinds = _kinds(n)
    rng.shuffle(kinds)
    for kind in KIND_SHARES:
        if kinds.count(kind) > len(available[kind]):
            raise ValueError(
                f"The {pool} pool has too few prompts of kind {kind!r} for {n}; ask for fewer."
            )
    return [demo_prompt(available[kind].pop()) for kind in kinds]


def _kinds(n: int) -> list[Kind]:
    """The kinds of `n` prompts, each share rounded so that they add up."""
    kinds: list[Kind] = []
    reached = 0.0
    for kind, share in KIND_SHARES.items():
        reached += share
        kinds += [kind] * (round(n * reached) - len(kinds))
    return kinds


def of_this_world(messages: Sequence[Message]) -> bool:
    """Whether the last user message asks for a fact that the world knows."""
    asked = [message["content"] for message in messages if message["role"] == "user"]
    return bool(asked) and asked[-1] in wordings()


def fact_asked(messages: Sequence[Message]) -> Fact:
    """The fact that the last user message asks for; ValueError if it is not of this world."""
    asked = [message["content"] for message in messages if message["role"] == "user"]
    if not asked or asked[-1] not in wordings():
        shown = asked[-1] if asked else "a conversation without a user message"
        raise ValueError(f"The demo world does not know this prompt: {shown!r}.")
    return wordings()[asked[-1]]
