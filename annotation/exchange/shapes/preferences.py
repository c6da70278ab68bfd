"""Chosen and rejected: transcripts (HH-RLHF), TRL's preferences with and without a prompt, plain or as
messages, and what publishers make of them (UltraFeedback binarized, Skywork, RewardBench, Orca pairs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.comparisons.scale import TIE
from annotation.exchange.records import ImportRow, RowRejected

from .fields import (
    identifier_field,
    labels_as_tags,
    shown,
    tags_field,
    text_field,
    yes_field,
)
from .messages import (
    Messages,
    has_prompt,
    is_transcript,
    messages_field,
    parted,
    prompt_field,
    said,
    transcript,
    with_system,
)
from .texts import completion_field
from .tracked import Fields
from .verdicts import vote_of

CHOSEN = ("chosen", "rejected")
# The same by longer names (UltraFeedback as argilla first published it).
RESPONSES = ("chosen_response", "rejected_response")
_STRENGTHS = {1: 1, 2: 2, 3: 3, "1": 1, "2": 2, "3": 3}


def is_transcripts(fields: Mapping[str, Any]) -> bool:
    return not has_prompt(fields) and all(_holds_turns(fields.get(name)) for name in CHOSEN)


def _holds_turns(value: Any) -> bool:
    return isinstance(value, str) and ("\n\nHuman:" in value or is_transcript(value))


def is_preference(fields: Mapping[str, Any]) -> bool:
    if all(name in fields for name in RESPONSES):
        return has_prompt(fields)
    if not all(name in fields for name in CHOSEN):
        return False
    return has_prompt(fields) or isinstance(fields["chosen"], list)


def is_implicit(fields: Mapping[str, Any]) -> bool:
    texts = all(isinstance(fields.get(name), str) for name in CHOSEN)
    return texts and not has_prompt(fields) and not is_transcripts(fields)


def transcript_row(fields: Fields) -> list[ImportRow]:
    """HH-RLHF: two transcripts that are the same up to the last answer (Bai et al. 2022)."""
    chosen, rejected = (transcript(text_field(fields.get(n), n), n) for n in CHOSEN)
    return decided(fields, *parted(chosen, rejected))


def preference_row(fields: Fields) -> list[ImportRow]:
    """`prompt`, `chosen`, `rejected`, plain or conversational. Where chosen and rejected are whole
    conversations the prompt is what they have in common, and one that stands beside them must be its
    beginning or its last question. Optional: rater, strength 1..3, tie."""
    names = CHOSEN if "chosen" in fields else RESPONSES
    first, second = (_whole(fields.get(name), name) for name in names)
    if first and second:
        prompt, chosen, rejected = parted(first, second, names)
        return decided(fields, _agreed(fields, prompt), chosen, rejected)
    chosen, rejected = (completion_field(fields.get(name), name) for name in names)
    return decided(fields, prompt_field(fields), chosen, rejected)


def implicit_row(fields: Fields) -> list[ImportRow]:
    """TRL's implicit prompt: two texts that begin alike. The prompt is their common beginning, up to the
    last blank (`trl.extract_prompt`)."""
    chosen, rejected = (text_field(fields.get(name), name) for name in CHOSEN)
    same = next(
        (n for n, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b),
        min(len(chosen), len(rejected)),
    )
    if same and chosen[same - 1] == " ":
        same -= 1
    if not chosen[:same].strip():
        raise RowRejected(
            "chosen and rejected have no common beginning, and there is no prompt beside them."
        )
    prompt = with_system(fields, (said("user", chosen[:same]),))
    texts = (text_field(chosen[same:], "chosen"), text_field(rejected[same:], "rejected"))
    return decided(fields, prompt, *texts)


def decided(
    fields: Fields, prompt: Messages, chosen: str, rejected: str, *, value: int | None = None
) -> list[ImportRow]:
    """The row of a winner and a loser; `value` is the step where the shape has one of its own."""
    row = ImportRow(
        messages=prompt,
        texts=(chosen, rejected),
        votes=(vote_of(fields, strength_field(fields) if value is None else value),),
        ordered=False,
        external_id=identifier_field(fields),
        tags=tags_field(fields) + labels_as_tags(fields, "subset"),
    )
    return [row]


def strength_field(fields: Fields) -> int:
    """The value for "the first is chosen": strength 3 is much better, 1 slightly; a tie is 4."""
    tie, strength = fields.get("tie"), fields.get("strength")
    if tie is not None and yes_field(tie, "tie"):
        return TIE
    if strength is None:
        return TIE - 2
    if isinstance(strength, (bool, list, dict)) or strength not in _STRENGTHS:
        raise RowRejected(f"strength is {shown(strength)}; use 1 (slightly), 2 or 3 (much better).")
    return TIE - _STRENGTHS[strength]


def _whole(value: Any, name: str) -> Messages | None:
    """The conversation that ends with the answer, where it is more than the answer."""
    if isinstance(value, str) and is_transcript(value) and "\n\nAssistant:" in value:
        return transcript(value, name)
    if isinstance(value, list) and len(value) > 1:
        return messages_field(value, name)
    return None


def _agreed(fields: Fields, prompt: Messages) -> Messages:
    """The prompt within the conversations, if the one beside them says the same."""
    if not has_prompt(fields):
        return with_system(fields, prompt)
    if "messages" in fields and not any(n in fields for n in ("prompt", "question", "instruction")):
        return with_system(fields, prompt)  # one whole conversation once more, for fine-tuning
    beside = prompt_field(fields)
    spoken = tuple(m for m in prompt if m["role"] != "system")
    own = tuple(m for m in beside if m["role"] != "system")
    if own not in (spoken, spoken[:1], spoken[-1:]):
        raise RowRejected("The prompt is not the beginning of chosen and rejected.")
    systems = [m for m in beside if m["role"] == "system"]
    if not systems or prompt[:1] == tuple(systems):
        return prompt
    if prompt[0]["role"] == "system":
        raise RowRejected("The system turn beside the conversations is not the one within them.")
    return (systems[0], *prompt)
