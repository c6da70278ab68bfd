"""Marked parts of answers: checked and stored in slot order and in the stored text, read back as the rater set them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.campaigns.span_labels import labels_of

from .blinding import answers_shown
from .levels import sides_of
from .models import Assignment, Completion, Judgment
from .records import MOST_SPANS, AnswerInvalid, Span
from .shown_texts import ShownText

Stored = dict[str, Any]


@dataclass(frozen=True)
class SpanSaid:
    """A marked part in words: the letter of its answer, the label's name and colour, and what is marked."""

    letter: str
    label: str
    colour: str
    quote: str


def completions_shown(assignment: Assignment) -> list[Completion]:
    """The completions of the pair in the order shown."""
    slots = assignment.comparison.slots.select_related("completion")
    by_position = {slot.position: slot.completion for slot in slots}
    return [by_position[position] for position in assignment.shown_order]


def texts_shown(assignment: Assignment) -> dict[str, ShownText]:
    """Each answer by its side, as the rater of the assignment reads it."""
    texts = answers_shown(
        campaign=assignment.comparison.campaign,
        messages=assignment.comparison.prompt.messages,
        completions=completions_shown(assignment),
    )
    return dict(zip(sides_of(assignment.shown_order), texts, strict=True))


def spans_stored(assignment: Assignment, spans: Sequence[Span]) -> list[Stored]:
    """What the judgment keeps of the marks of an answer; an `AnswerInvalid` names the mark, counted from 1."""
    if not spans:
        return []
    if len(spans) > MOST_SPANS:
        raise AnswerInvalid(f"spans: {len(spans)} parts are marked; at most {MOST_SPANS} are kept.")
    known = [label.key for label in labels_of(assignment.comparison.campaign.span_labels)]
    if not known:
        raise AnswerInvalid("spans: this campaign has no labels to mark parts of an answer with.")
    texts = texts_shown(assignment)
    slots = sides_of(assignment.shown_order)
    stored: list[Stored] = []
    for number, span in enumerate(dict.fromkeys(spans), 1):
        _check(number, span, texts, known)
        start, end = texts[span.side].to_stored(span.start, span.end)
        stored.append({"label": span.label, "slot": slots[span.side], "start": start, "end": end})
    return stored


def _check(number: int, span: Span, texts: Mapping[str, ShownText], known: Sequence[str]) -> None:
    if span.side not in texts:
        raise AnswerInvalid(
            f"spans: mark {number} is on {span.side[:60]!r}; use one of {', '.join(texts)}."
        )
    if span.label not in known:
        raise AnswerInvalid(
            f"spans: mark {number} has the label {span.label[:60]!r}; use one of {', '.join(known)}."
        )
    length = len(texts[span.side].text)
    if not 0 <= span.start < span.end <= length:
        raise AnswerInvalid(
            f"spans: mark {number} is from {span.start} to {span.end}, but the {span.side} answer has"
            f" {length} characters; start must be below end, and end at most {length}."
        )


def spans_shown(judgment: Judgment) -> tuple[Span, ...]:
    """The marks of a judgment as its rater set them: by side, in the text that they read."""
    if not judgment.spans:
        return ()
    texts = texts_shown(judgment.assignment)
    sides = {slot: side for side, slot in sides_of(judgment.assignment.shown_order).items()}
    return tuple(
        Span(side, *texts[side].to_shown(span["start"], span["end"]), span["label"])
        for span in judgment.spans
        for side in [sides[span["slot"]]]
    )


def spans_said(
    spans: Iterable[tuple[str, int, int, str]],
    texts: Mapping[str, str],
    labels: Iterable[Mapping[str, str]],
) -> tuple[SpanSaid, ...]:
    """Marks (letter of the answer, start, end, label) in words; `texts` by letter."""
    named = {label.key: label for label in labels_of(labels)}
    return tuple(
        SpanSaid(
            letter=letter,
            label=named[key].name if key in named else key,
            colour=named[key].colour if key in named else "grey",
            quote=texts.get(letter, "")[start:end],
        )
        for letter, start, end, key in spans
    )
