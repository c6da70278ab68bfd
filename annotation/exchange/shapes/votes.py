"""Several raters' votes on one pair, and a single verdict beside two completions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from annotation.comparisons.scale import HIGHEST, LOWEST
from annotation.exchange.records import ImportRow, RowRejected, Vote

from .fields import (
    identifier_field,
    labels_as_tags,
    name_field,
    shown,
    tags_field,
    text_field,
)
from .messages import has_prompt, prompt_field
from .texts import couple_of, has_two, texts_field
from .tracked import Fields
from .verdicts import step_field, verdict, vote_of

# The two completions by the names that a vote may call them, beside a1 and a2, a and b and the like.
NAMES = ("completion_a", "completion_b")
VERDICTS = ("winner", "preferred", "preference", "choice", "better", "verdict", "selected")


def is_votes(fields: Mapping[str, Any]) -> bool:
    return "votes" in fields and has_two(fields)


def votes_row(fields: Fields) -> list[ImportRow]:
    """`votes` [{"worker" | "rater" | "annotator", "value"}]: value is a1, a2 or equal, or 1..7."""
    found = fields.get("votes")
    if not isinstance(found, list):
        raise RowRejected("votes should be a list.")
    row = ImportRow(
        messages=prompt_field(fields),
        texts=texts_field(fields),
        votes=tuple(_vote(item, f"votes[{n}]") for n, item in enumerate(found)),
        external_id=identifier_field(fields),
        group=text_field(fields.get("debate_title", ""), "debate_title", empty=True),
        tags=tags_field(fields),
    )
    return [row]


def is_verdict(fields: Mapping[str, Any]) -> bool:
    """Two completions in fields of their own, and one field that names the better."""
    found = [name for name in VERDICTS if isinstance(fields.get(name), str)]
    return has_prompt(fields) and couple_of(fields) is not None and len(found) == 1


def verdict_row(fields: Fields) -> list[ImportRow]:
    """A prompt, two completions (response_a and response_b, ...) and `winner`: a name of one, a, b, tie."""
    name = next((n for n in VERDICTS if isinstance(fields.get(n), str)), VERDICTS[0])
    for other in VERDICTS:
        if other != name:
            fields.leave(other)
    value, both_bad = verdict(fields.get(name), couple_of(fields) or ("a", "b"), name)
    row = ImportRow(
        messages=prompt_field(fields),
        texts=texts_field(fields),
        votes=(vote_of(fields, value, rater=_judge(fields), both_bad=both_bad),),
        external_id=identifier_field(fields),
        tags=tags_field(fields) + labels_as_tags(fields, "language"),
    )
    return [row]


def _judge(fields: Fields) -> str:
    return name_field(fields["judge"], "judge") if fields.get("judge") is not None else ""


def _vote(item: Any, name: str) -> Vote:
    if not isinstance(item, Fields):
        raise RowRejected(f"{name} is not an object with a rater and a value.")
    rater = next((item[key] for key in ("worker", "rater", "annotator") if key in item), None)
    value = item.get("value")
    try:
        step, both_bad = _said(value, name)
    except RowRejected:
        raise RowRejected(
            f"{name}: the value is {shown(value)}; use a1, a2 or equal, or {LOWEST} to {HIGHEST}."
        ) from None
    rater = name_field(rater, f"{name}: the rater")
    return vote_of(item, step, rater=rater, both_bad=both_bad)


def _said(value: Any, name: str) -> tuple[int, bool]:
    """(step, both bad) of a word, or of a number from 1 to 7, also one written as text."""
    if isinstance(value, str):
        with suppress(RowRejected):
            return verdict(value, NAMES, name)
    return step_field(value, name), False
