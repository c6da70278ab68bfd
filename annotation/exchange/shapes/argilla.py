"""Argilla's exports of records with two texts and a question about them: nested JSON, the flat columns of its
version 2, and the columns of its version 1."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from annotation.exchange.records import ImportRow, RowRejected, Vote

from .fields import dict_field, identifier_field, name_field, shown
from .messages import has_prompt, prompt_field
from .texts import couple_of, texts_field
from .tracked import Fields
from .verdicts import UNNAMED, verdict

SUBMITTED = "submitted"
_REASON = re.compile(r"reason|rationale|comment|why|explain|feedback", re.IGNORECASE)


@dataclass(frozen=True)
class Response:
    """One person's answer to one question."""

    question: str
    value: Any
    user: str


def is_record(fields: Mapping[str, Any]) -> bool:
    texts = fields.get("fields")
    return isinstance(texts, dict) and "responses" in fields and couple_of(texts) is not None


def is_flat(fields: Mapping[str, Any]) -> bool:
    return any(name.endswith(".responses") for name in fields) and couple_of(fields) is not None


def is_columns(fields: Mapping[str, Any]) -> bool:
    """Version 1: each question is a list of {"user_id", "value", "status"}."""
    return has_prompt(fields) and couple_of(fields) is not None and any(_questions(fields))


def record_row(fields: Fields) -> list[ImportRow]:
    """`fields` with a prompt and two texts, `responses` by question: [{"value", "user_id"}]."""
    texts = dict_field(fields.get("fields"), "fields")
    found = fields.get("responses") or Fields({})
    responses = dict_field(found, "responses")
    answers = [
        answer for question in responses for answer in _listed(question, responses[question] or [])
    ]
    return _row(fields, texts, answers)


def flat_row(fields: Fields) -> list[ImportRow]:
    """Columns `QUESTION.responses`, `QUESTION.responses.users` and `QUESTION.responses.status`."""
    answers: list[Response] = []
    for column in [name for name in fields if name.endswith(".responses")]:
        values = fields[column]
        if not isinstance(values, list):
            continue
        users = _beside(fields, f"{column}.users", len(values), UNNAMED)
        states = _beside(fields, f"{column}.status", len(values), SUBMITTED)
        question = column.removesuffix(".responses")
        answers += [
            Response(question, value, name_field(user, f"{column}.users"))
            for value, user, state in zip(values, users, states, strict=True)
            if state == SUBMITTED
        ]
    return _row(fields, fields, answers)


def columns_row(fields: Fields) -> list[ImportRow]:
    answers = [a for name in _questions(fields) for a in _listed(name, fields[name])]
    return _row(fields, fields, answers)


def _questions(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in fields:
        value = dict.get(fields, name) if isinstance(fields, dict) else None
        if (
            isinstance(value, list)
            and value
            and all(
                isinstance(item, dict) and "value" in item and "user_id" in item for item in value
            )
        ):
            yield name


def _listed(question: str, found: Any) -> Iterator[Response]:
    if not isinstance(found, list):
        raise RowRejected(f"The responses to {question} should be a list.")
    for item in found:
        response = dict_field(item, question)
        if response.get("status", SUBMITTED) in (SUBMITTED, None):
            user = response.get("user_id")
            name = UNNAMED if user is None else name_field(user, f"{question}.user_id")
            yield Response(question, response.get("value"), name)


def _beside(fields: Fields, name: str, length: int, missing: str) -> list[Any]:
    found = fields.get(name)
    if found is None:
        return [missing] * length
    if not isinstance(found, list) or len(found) != length:
        raise RowRejected(f"{name} should be a list of {length}, one for each response.")
    return found


def _row(fields: Fields, texts: Fields, answers: list[Response]) -> list[ImportRow]:
    couple = couple_of(texts) or ("a", "b")
    found: dict[str, tuple[int, bool]] = {}
    reasons: dict[str, list[str]] = {}
    for answer in answers:
        if _REASON.search(answer.question) and isinstance(answer.value, str):
            reasons.setdefault(answer.user, []).append(answer.value)
        elif answer.user in found:
            raise RowRejected(
                f"{answer.user} answers two questions of the record, so that it is not plain which is"
                " the judgment."
            )
        else:
            found[answer.user] = _verdict(answer, couple)
    votes = tuple(
        Vote(user, value, both_bad=bad, rationale="\n\n".join(reasons.pop(user, [])))
        for user, (value, bad) in found.items()
    )
    if reasons:
        raise RowRejected(f"{next(iter(reasons))} gives a reason, but no judgment.")
    row = ImportRow(
        messages=prompt_field(texts),
        texts=texts_field(texts),
        votes=votes,
        external_id=identifier_field(fields),
    )
    return [row]


def _verdict(answer: Response, couple: tuple[str, str]) -> tuple[int, bool]:
    """A label, or a ranking [{"value", "rank"}] of the two."""
    if not isinstance(answer.value, list):
        return verdict(answer.value, couple, answer.question)
    ranks = {
        str(item.get("value")): item.get("rank")
        for item in answer.value
        if isinstance(item, Fields)
    }
    first, second = ranks.get(couple[0]), ranks.get(couple[1])
    if not isinstance(first, int) or not isinstance(second, int):
        raise RowRejected(
            f"{answer.question} is {shown(answer.value)}; it should rank {couple[0]} and {couple[1]}."
        )
    word = "tie" if first == second else couple[first > second]
    return verdict(word, couple, answer.question)
