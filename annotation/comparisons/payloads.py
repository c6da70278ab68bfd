"""What travels between the compare page and the server, as JSON: built from frozen views, read with care.

A pair's payload holds what its rater may know and nothing else: the tests hold it to that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.urls import reverse

from annotation.campaigns.models import GuidelineVersion
from web.markdown import markdown_html, marks_shown

from .records import Answer, AnswerInvalid, ComparisonView, Progress
from .scale import HIGHEST, LOWEST

MOST_IDS = 100
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def item_payload(view: ComparisonView) -> dict[str, Any]:
    return {
        "id": str(view.assignment_id),
        "messages": [
            {"role": message.role, "html": markdown_html(message.content)}
            for message in view.messages
        ],
        "left": _side(view.left, view.left_ended),
        "right": _side(view.right, view.right_ended),
        "draft": dict(view.draft),
        "draft_at": view.draft_saved_at.isoformat() if view.draft_saved_at else None,
        "answer": answer_payload(view.answer) if view.answer else None,
        "revises": view.answer is not None,
        "urls": {
            name: reverse(f"comparisons:{name}", args=[view.campaign_id, view.assignment_id])
            for name in ("submit", "revise", "draft", "skip")
        },
    }


def _side(text: str, ended: bool) -> dict[str, Any]:
    return {"html": markdown_html(text), "text": marks_shown(text), "ended": ended}


def answer_payload(answer: Answer) -> dict[str, Any]:
    return {
        "values": dict(answer.values),
        "both_bad": answer.both_bad,
        "flags": list(answer.flags),
        "rationale": answer.rationale,
    }


def progress_payload(progress: Progress) -> dict[str, Any]:
    return {
        "today": progress.today,
        "goal": progress.daily_goal,
        "median_seconds": progress.median_seconds,
    }


def guidelines_payload(version: GuidelineVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {
        "version_id": version.pk,
        "number": version.number,
        "html": markdown_html(version.text),
        "change_note": version.change_note,
    }


def answer_read(body: Mapping[str, Any]) -> Answer:
    """The answer in a request's body; `AnswerInvalid` names the part that has the wrong shape."""
    values, flags = body.get("values", {}), body.get("flags", [])
    rationale, seconds = body.get("rationale", ""), body.get("seconds")
    if not isinstance(values, dict):
        raise AnswerInvalid("values: send an object of criterion and number from 1 to 7.")
    if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
        raise AnswerInvalid("flags: send a list of names.")
    if not isinstance(rationale, str):
        raise AnswerInvalid("rationale: send a text.")
    if not isinstance(body.get("both_bad", False), bool):
        raise AnswerInvalid("both_bad: send true or false.")
    if seconds is not None and not (type(seconds) in (int, float) and abs(seconds) < 1e9):
        raise AnswerInvalid("seconds: send a number of seconds.")
    return Answer(
        values=values,
        both_bad=body.get("both_bad", False),
        flags=tuple(flags),
        rationale=rationale,
        seconds=None if seconds is None else float(seconds),
    )


def draft_read(body: Mapping[str, Any]) -> dict[str, Any]:
    """What was entered so far: an answer in which anything may be missing."""
    if not isinstance(body.get("answer"), dict):
        raise AnswerInvalid("answer: send an object.")
    answer = answer_read(body["answer"])
    for key, value in answer.values.items():
        if type(value) is not int or not LOWEST <= value <= HIGHEST:
            raise AnswerInvalid(f"{key[:60]}: use a whole number from {LOWEST} to {HIGHEST}.")
    return {name: part for name, part in answer_payload(answer).items() if name in body["answer"]}


def storable(value: Any) -> bool:
    """Whether PostgreSQL can keep every text in a JSON value: no NUL, no half of a surrogate pair."""
    if isinstance(value, dict):
        return all(storable(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return all(storable(part) for part in value)
    return not isinstance(value, str) or not _UNSTORABLE.search(value)


def text_read(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or not value:
        raise AnswerInvalid(f"{name}: send a text.")
    return value


def id_read(name: str, value: Any) -> UUID:
    """The id of a pair, which `name` says where it stood."""
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise AnswerInvalid(f"{name}: send the id of a pair.") from error


def ids_read(body: Mapping[str, Any], name: str) -> frozenset[UUID]:
    value = body.get(name, [])
    if not isinstance(value, list) or len(value) > MOST_IDS:
        raise AnswerInvalid(f"{name}: send a list of at most {MOST_IDS} ids of pairs.")
    return frozenset(id_read(name, each) for each in value)


def count_read(body: Mapping[str, Any], name: str, most: int) -> int:
    value = body.get(name, 1)
    if type(value) is not int or not 1 <= value <= most:
        raise AnswerInvalid(f"{name}: send a whole number from 1 to {most}.")
    return value
