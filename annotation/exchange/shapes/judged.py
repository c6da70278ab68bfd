"""Rows that come with judgments: chosen and rejected, or several raters' votes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.comparisons.scale import HIGHEST, LOWEST, TIE
from annotation.exchange.records import ImportRow, RowRejected, Vote

from .fields import (
    awaiting_answer,
    completion_field,
    identifier_field,
    messages_field,
    name_field,
    prompt_field,
    split_field,
    tags_field,
    text_field,
    texts_field,
    transcript,
)

# Who judged when the row does not say; one such rater for each source.
UNNAMED = "unnamed"
# A vote or a chosen/rejected pair says which is better, not by how much: the middle step.
BETTER = {"first": 2, "second": 6}
WORDS: Mapping[str, int] = {
    **dict.fromkeys(("a1", "a", "first", "left", "completion_a"), BETTER["first"]),
    **dict.fromkeys(("a2", "b", "second", "right", "completion_b"), BETTER["second"]),
    **dict.fromkeys(("equal", "tie", "same"), TIE),
}


def transcript_row(fields: Mapping[str, Any]) -> ImportRow:
    """HH-RLHF: two transcripts that are the same up to the last answer (Bai et al. 2022)."""
    chosen, rejected = (
        transcript(text_field(fields.get(name), name), name) for name in ("chosen", "rejected")
    )
    return _decided(fields, *_parted(chosen, rejected))


def preference_row(fields: Mapping[str, Any]) -> ImportRow:
    """`prompt`, `chosen`, `rejected`, plain or conversational; without a prompt, as whole
    conversations that part at the last answer. Optional: rater, strength 1..3, tie."""
    chosen, rejected = fields.get("chosen"), fields.get("rejected")
    if "prompt" in fields:
        texts = (completion_field(chosen, "chosen"), completion_field(rejected, "rejected"))
        return _decided(fields, prompt_field(fields), *texts)
    conversations = (messages_field(chosen, "chosen"), messages_field(rejected, "rejected"))
    return _decided(fields, *_parted(*conversations))


def votes_row(fields: Mapping[str, Any]) -> ImportRow:
    """`votes` [{"worker" | "rater" | "annotator", "value"}]: value is a1, a2 or equal, or 1..7."""
    found = fields.get("votes")
    if not isinstance(found, list):
        raise RowRejected("votes should be a list.")
    return ImportRow(
        messages=prompt_field(fields),
        texts=texts_field(fields),
        votes=tuple(_vote(item, f"votes[{n}]") for n, item in enumerate(found)),
        external_id=identifier_field(fields),
        group=text_field(fields.get("debate_title", ""), "debate_title", empty=True),
        split=split_field(fields),
        tags=tags_field(fields),
    )


def _parted(
    chosen: tuple[dict[str, str], ...], rejected: tuple[dict[str, str], ...]
) -> tuple[tuple[dict[str, str], ...], str, str]:
    """The common prompt and the two last answers of two conversations."""
    for name, messages in (("chosen", chosen), ("rejected", rejected)):
        if messages[-1]["role"] != "assistant" or len(messages) < 2:
            raise RowRejected(f"{name} does not end with an answer of the assistant to a prompt.")
    if chosen[:-1] != rejected[:-1]:
        raise RowRejected(
            "chosen and rejected part before their last answer: there is no one prompt."
        )
    prompt = awaiting_answer(chosen[:-1], "the prompt")
    return prompt, chosen[-1]["content"], rejected[-1]["content"]


def _decided(
    fields: Mapping[str, Any], prompt: tuple[dict[str, str], ...], chosen: str, rejected: str
) -> ImportRow:
    rater = fields.get("rater")
    return ImportRow(
        messages=prompt,
        texts=(chosen, rejected),
        votes=(Vote(UNNAMED if rater is None else name_field(rater, "rater"), _strength(fields)),),
        ordered=False,
        external_id=identifier_field(fields),
        split=split_field(fields),
        tags=tags_field(fields),
    )


def _strength(fields: Mapping[str, Any]) -> int:
    """The value for "the first is chosen": strength 3 is much better, 1 slightly; a tie is 4."""
    tie, strength = fields.get("tie", False), fields.get("strength", 2)
    if not isinstance(tie, bool):
        raise RowRejected("tie should be true or false.")
    if tie:
        return TIE
    if isinstance(strength, bool) or strength not in (1, 2, 3):
        raise RowRejected(f"strength is {strength!r}; use 1 (slightly), 2 or 3 (much better).")
    return TIE - int(strength)


def _vote(item: Any, name: str) -> Vote:
    if not isinstance(item, dict):
        raise RowRejected(f"{name} is not an object with a rater and a value.")
    rater = next((item[key] for key in ("worker", "rater", "annotator") if key in item), None)
    value = item.get("value")
    if isinstance(value, str) and value.strip().lower() in WORDS:
        value = WORDS[value.strip().lower()]
    if isinstance(value, bool) or not isinstance(value, int) or not LOWEST <= value <= HIGHEST:
        raise RowRejected(
            f"{name}: the value is {value!r}; use a1, a2 or equal, or {LOWEST} to {HIGHEST}."
        )
    return Vote(name_field(rater, f"{name}: the rater"), value)
