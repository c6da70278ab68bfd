"""Label Studio's exports of pairwise projects: JSON (a task with its annotations) and JSON_MIN or CSV (a row an
annotation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.exchange.records import ImportRow, RowRejected, Vote

from .fields import (
    dict_field,
    identifier_field,
    name_field,
    text_field,
    time_field,
    yes_field,
)
from .messages import PROMPTS, SYSTEMS, has_prompt, prompt_field
from .texts import couple_of, texts_field
from .tracked import Fields
from .verdicts import seconds_field, verdict

REASONS = ("textarea",)
# Fields of JSON_MIN that are never the answer to the question.
_ABOUT = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")


def is_task(fields: Mapping[str, Any]) -> bool:
    data, annotations = fields.get("data"), fields.get("annotations")
    return isinstance(data, dict) and isinstance(annotations, list) and couple_of(data) is not None


def task_row(fields: Fields) -> list[ImportRow]:
    """`data` with a prompt and two texts; each annotation that was not skipped is a vote: `selected` of a
    pairwise control, or the choice of one; `completed_by`, `created_at`, `lead_time`, text areas as reason."""
    data = dict_field(fields.get("data"), "data")
    couple = couple_of(data) or ("left", "right")
    found = fields.get("annotations")
    annotations = [
        dict_field(item, f"annotations[{n}]")
        for n, item in enumerate(found if isinstance(found, list) else [])
    ]
    kept = [a for a in annotations if not _skipped(a)]
    row = ImportRow(
        messages=prompt_field(data),
        texts=texts_field(data),
        votes=tuple(_vote(annotation, couple) for annotation in kept),
        external_id=identifier_field(fields),
    )
    return [row]


def is_min(fields: Mapping[str, Any]) -> bool:
    named = "annotation_id" in fields and "annotator" in fields
    return named and has_prompt(fields) and couple_of(fields) is not None


def min_row(fields: Fields) -> list[ImportRow]:
    """A prompt, two texts, and the one other field that answers which is better."""
    couple = couple_of(fields) or ("left", "right")
    value, both_bad = _answer(fields, couple)
    vote = Vote(
        name_field(fields.get("annotator"), "annotator"),
        value,
        both_bad=both_bad,
        seconds=seconds_field(fields, "lead_time"),
        at=_when(fields),
    )
    row = ImportRow(
        messages=prompt_field(fields),
        texts=texts_field(fields),
        votes=(vote,),
        external_id=identifier_field(fields),
    )
    return [row]


def _answer(fields: Fields, couple: tuple[str, str]) -> tuple[int, bool]:
    known = {*couple, *PROMPTS, *SYSTEMS, *_ABOUT, "split"}
    found: dict[str, tuple[int, bool]] = {}
    for name in [name for name in fields if name not in known]:
        try:
            found[name] = verdict(_selected(fields[name]), couple, name)
        except RowRejected:
            fields.leave(name)
    if len(found) != 1:
        raise RowRejected(
            f"{len(found)} of the fields say which of {couple[0]} and {couple[1]} is better (left, right,"
            " a name or a tie); it should be one."
        )
    return next(iter(found.values()))


def _selected(value: Any) -> Any:
    """The choice within {"selected": ...} or {"choices": [...]}, or the value itself."""
    if isinstance(value, Fields):
        value = value.get("selected" if "selected" in value else "choices")
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _skipped(annotation: Fields) -> bool:
    name = "was_cancelled"
    return annotation.get(name) is not None and yes_field(annotation[name], name)


def _vote(annotation: Fields, couple: tuple[str, str]) -> Vote:
    results = annotation.get("result")
    found: list[tuple[int, bool]] = []
    reasons: list[str] = []
    for result in results if isinstance(results, list) else []:
        item = dict_field(result, "result")
        kind, value = item.get("type"), item.get("value")
        if kind in ("pairwise", "choices"):
            found.append(verdict(_selected(value), couple, str(item.get("from_name", kind))))
        elif kind in REASONS and isinstance(value, Fields):
            written = value.get("text")
            texts = written if isinstance(written, list) else [written]
            reasons += [
                text_field(text, str(item.get("from_name", kind))) for text in texts if text
            ]
        else:
            item.leave("value")
    if len(found) != 1:
        raise RowRejected(
            f"An annotation has {len(found)} pairwise or choice results; it should have one."
        )
    return Vote(
        _completed_by(annotation.get("completed_by")),
        found[0][0],
        both_bad=found[0][1],
        rationale="\n\n".join(reasons),
        seconds=seconds_field(annotation, "lead_time"),
        at=_when(annotation),
    )


def _completed_by(value: Any) -> str:
    if isinstance(value, Fields):
        value = value.get("id" if "id" in value else "email")
    return name_field(value, "completed_by")


def _when(fields: Fields) -> Any:
    return time_field(fields["created_at"], "created_at") if fields.get("created_at") else None
