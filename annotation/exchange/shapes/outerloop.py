"""Outerloop's own full export: a row a judgment, with everything that is known of it.

What counts is taken: the judgments of training pairs that hold now, as the row's `use` says. One that was superseded,
settled or taken back, a skip, and the labels of gates, gold items and repeats are turned away with that reason, so
that nobody trains on them by accident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.text import slugify

from annotation.campaigns.models import FEWEST_RANKED, MOST_RANKED, OVERALL
from annotation.campaigns.span_labels import LONGEST_KEY
from annotation.comparisons.levels import levels_dense, sides_of
from annotation.comparisons.records import FLAGS, MOST_SPANS, REASONS
from annotation.comparisons.scale import TIE
from annotation.comparisons.uses import USES
from annotation.exchange.records import Gold, ImportRow, MarkedSpan, Ranked, RowRejected, Vote

from .fields import (
    dict_field,
    list_field,
    name_field,
    shown,
    tags_field,
    text_field,
    time_field,
    whole_field,
    yes_field,
)
from .messages import awaiting_answer, messages_field
from .tracked import Fields
from .verdicts import criteria_kept, seconds_field, step_field

COLUMNS = ("kind", "use", "revision", "active", "values", "completions", "messages")
# Uses of labels that count, and hold of the pair wherever it goes.
TAKEN = ("train", "held_out", "evaluation", "same_text")
# What `use` was worked out from, together with the adjudications, which no row holds.
_BEHIND_USE = ("active", "withdrawn", "surplus", "excluded")


def is_full_export(fields: Mapping[str, Any]) -> bool:
    return all(name in fields for name in COLUMNS)


def full_export_row(fields: Fields) -> list[ImportRow]:
    """One vote with its date, criteria, flags, marked parts, reason, both-bad and seconds, in the order of the
    slots; of an answer to a gold item the item, and not the answer."""
    gold = _gold(fields)
    if gold is None:
        _check_counts(fields)
    found = list_field(fields.get("completions"), "completions")
    ranking = fields.get("ranking")
    if len(found) != 2 and not ranking:
        raise RowRejected(f"The row has {len(found)} completions; two are compared.")
    texts = [
        text_field(dict_field(c, f"completions[{n}]").get("text"), f"completions[{n}].text")
        for n, c in enumerate(found)
    ]
    external = fields.get("external_id")
    said = (
        {"ranked": Ranked(tuple(texts), (_vote(fields, texts, _levels(ranking, len(texts))),))}
        if ranking
        else {"texts": (texts[0], texts[1]), "votes": () if gold else (_vote(fields, texts),)}
    )
    row = ImportRow(
        messages=awaiting_answer(messages_field(fields.get("messages"), "messages"), "messages"),
        **said,
        gold=gold,
        external_id=name_field(external, "external_id") if external else "",
        tags=tags_field(fields),
    )
    return [row]


def _gold(fields: Fields) -> Gold | None:
    """What the row says of its gold item. An export before these columns had neither: then on its side."""
    if fields.get("purpose") != "gold" or fields.get("gold_value") is None:
        return None
    accept = fields.get("gold_accept")
    return Gold(
        value=step_field(fields["gold_value"], "gold_value"),
        accept=None if accept is None else whole_field(accept, "gold_accept", low=0, high=2),
        explanation=text_field(fields.get("explanation") or "", "explanation", empty=True),
    )


def _check_counts(fields: Fields) -> None:
    kind, use, purpose = (fields.get(name) for name in ("kind", "use", "purpose"))
    if kind != "judgment":
        raise RowRejected(f"The row is a {kind}, and no judgment." if kind else "kind is missing.")
    if purpose not in (None, "training"):
        raise RowRejected(
            f"The judgment is of purpose {shown(purpose)}; those of purpose training are taken."
        )
    if not isinstance(use, str) or use not in USES:
        raise RowRejected(f"use is {shown(use)}; the full export writes one of {', '.join(USES)}.")
    if use not in TAKEN:
        raise RowRejected(f"The judgment does not count: {USES[use]}.")
    for name in _BEHIND_USE:
        fields.get(name)


def _levels(ranking: Any, answers: int) -> tuple[int, ...]:
    levels = list_field(ranking, "ranking")
    if len(levels) != answers or not FEWEST_RANKED <= answers <= MOST_RANKED:
        raise RowRejected(
            f"ranking has {len(levels)} levels for {answers} completions; {FEWEST_RANKED} to {MOST_RANKED}"
            " are ranked, each with a level."
        )
    return tuple(
        levels_dense([whole_field(level, "ranking", low=1, high=answers) for level in levels])
    )


def _vote(fields: Fields, texts: Sequence[str], levels: tuple[int, ...] = ()) -> Vote:
    values: dict[str, int] = {}
    found = fields.get("values")
    for item in [] if levels and not found else list_field(found, "values"):
        said = dict_field(item, "values[]")
        values[name_field(said.get("criterion"), "criterion")] = step_field(
            said.get("value"), "value"
        )
    value = values.pop(OVERALL, TIE if levels else None)
    if value is None or step_field(fields.get("value") or value, "value") != value:
        raise RowRejected("The value is not the one of the criterion overall.")
    judged_at = fields.get("judged_at")
    return Vote(
        rater=name_field(fields.get("rater"), "rater"),
        value=value,
        criteria=criteria_kept(values),
        both_bad=yes_field(fields.get("both_bad", False), "both_bad"),
        flags=_flags(fields, len(levels)),
        rationale=text_field(fields.get("rationale") or "", "rationale", empty=True),
        reasons=_reasons(fields),
        seconds=seconds_field(fields, "seconds"),
        at=time_field(judged_at, "judged_at") if judged_at else None,
        levels=levels,
        spans=_spans(fields, texts),
    )


def _reasons(fields: Fields) -> tuple[str, ...]:
    found = fields.get("reasons")
    if found is None or found == []:
        return ()
    reasons = tuple(name_field(each, "reason") for each in list_field(found, "reasons"))
    for reason in reasons:
        if reason not in REASONS:
            raise RowRejected(
                f"There is no reason {shown(reason)}; use one of {', '.join(REASONS)}."
            )
    return tuple(dict.fromkeys(reasons))


def _spans(fields: Fields, texts: Sequence[str]) -> tuple[MarkedSpan, ...]:
    """[{"label", "slot", "start", "end"}], each within its text; a table written before had none."""
    found = fields.get("spans") or []
    if not isinstance(found, list) or len(found) > MOST_SPANS:
        raise RowRejected(f"spans should be a list of at most {MOST_SPANS} marked parts.")
    return tuple(_span(dict_field(item, f"spans[{n}]"), n, texts) for n, item in enumerate(found))


def _span(span: Mapping[str, Any], n: int, texts: Sequence[str]) -> MarkedSpan:
    label = name_field(span.get("label"), f"spans[{n}].label")
    if label != slugify(label) or len(label) > LONGEST_KEY:
        raise RowRejected(f"spans[{n}].label is {shown(label)}, which is no key of a label.")
    slot = whole_field(span.get("slot"), f"spans[{n}].slot", low=1, high=len(texts))
    length = len(texts[slot - 1])
    start = whole_field(span.get("start"), f"spans[{n}].start", low=0, high=length - 1)
    end = whole_field(span.get("end"), f"spans[{n}].end", low=start + 1, high=length)
    return MarkedSpan(label, slot, start, end)


def _flags(fields: Fields, ranked: int) -> tuple[str, ...]:
    """[{"key", "slot"}] as keys with sides, slot 1 on the left; of so many `ranked` texts with their places."""
    order = range(1, ranked + 1) if ranked else (1, 2)
    sides = {slot: f":{side}" for side, slot in sides_of(order).items()} | {None: ""}
    found = fields.get("flags") or []
    if not isinstance(found, list):
        raise RowRejected("flags should be a list.")
    flags = []
    for item in found:
        flag = dict_field(item, "flags[]")
        slot = flag.get("slot")
        place = None if slot is None else whole_field(slot, "slot", low=1, high=len(order))
        key = name_field(flag.get("key"), "flag")
        if key not in FLAGS:
            raise RowRejected(f"There is no flag {shown(key)}; use one of {', '.join(FLAGS)}.")
        flags.append(key + sides[place])
    return tuple(flags)
