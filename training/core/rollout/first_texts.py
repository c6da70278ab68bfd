"""Whether there is anything to learn from what a policy writes, asked of its very first texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from training.core.run.errors import UserError

__all__ = ["FirstText", "first_texts_check", "first_texts_of"]

HALF = 0.5
"""Lines with short answers have some empty ones; a policy most of whose texts say nothing is not one of them."""

TEXTS, PROMPTS, DRAWS = 16, 8, 4
"""Equal texts are a fault only where that many could have differed: a few prompts may well have one answer."""

ENTROPY = 1e-3
"""Nats a token. About one token in ten thousand is then another than the likeliest: an update of 256 texts
sees one, and rewards that do not differ teach nothing. Policies that are sure of short answers have 0.01."""


class FirstText(NamedTuple):
    """One completion: of which prompt, what it says, and its tokens, those that are padding apart."""

    prompt: Hashable
    text: str
    tokens: int
    padding: int


def first_texts_of(
    prompts: Sequence[Hashable],
    responses: Sequence[Sequence[int]],
    texts: Sequence[str],
    *,
    pad_id: int,
) -> list[FirstText]:
    return [
        FirstText(prompt, text, len(response), sum(token == pad_id for token in response))
        for prompt, response, text in zip(prompts, responses, texts, strict=True)
    ]


def first_texts_check(found: Sequence[FirstText], *, entropy: float | None = None) -> None:
    """Raise `UserError` with one sentence where there is nothing to learn from or to compare.

    `entropy` is the mean in nats a token, where it was measured. Limits lie where no sound policy comes, also one
    of short answers: see each.
    """
    said = _fault(found, entropy)
    if said:
        raise UserError(
            f"{said} Look at the policy's chat template and at its fine-tuning, for instance by"
            " `python -m training.recipes.check_model`, or begin with another policy."
        )


def _fault(found: Sequence[FirstText], entropy: float | None) -> str:
    count, tokens = len(found), sum(one.tokens for one in found)
    if sum(one.padding for one in found) > HALF * tokens:
        return f"Most of what the policy wrote first ({count} texts) is the padding token."
    empty = sum(not one.text.strip() for one in found)
    if empty > HALF * count:
        return f"{empty} of the policy's first {count} texts are empty."
    drawn = defaultdict[Hashable, list[str]](list)
    for one in found:
        drawn[one.prompt].append(one.text)
    many = len(drawn) >= PROMPTS
    if many and count >= TEXTS and len({one.text for one in found}) == 1:
        return (
            f"The policy's first {count} texts, on {len(drawn)} prompts, are all the same:"
            f" {found[0].text[:60]!r}."
        )
    if many and all(len(texts) >= DRAWS and len(set(texts)) == 1 for texts in drawn.values()):
        return (
            f"Each of {len(drawn)} prompts was answered in the same words every time it was drawn."
        )
    if entropy is not None and entropy < ENTROPY:
        return (
            f"The policy's entropy is {entropy:.2g} nats a token: it always writes what is likeliest,"
            " so that no two texts differ."
        )
    return ""
