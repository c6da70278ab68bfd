"""What travels between the compare page and the server, as JSON: built from frozen views, read with care.

A pair's payload holds what its rater may know and nothing else: the tests hold it to that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.urls import reverse

from annotation.accounts.models import TextView
from annotation.campaigns.models import MOST_RANKED, PAIR, GuidelineVersion
from annotation.campaigns.span_labels import LONGEST_KEY
from web.markdown import markdown_html, marks_shown

from .keys import keys_read
from .records import (
    MOST_SPANS,
    Answer,
    AnswerInvalid,
    ComparisonView,
    MessageView,
    Progress,
    Span,
    Talk,
)
from .scale import HIGHEST, LOWEST
from .written import AsWritten, alike_but_different, written, written_html

MOST_IDS = 100
LONGEST_PLACE = 2**31 - 1


def item_payload(view: ComparisonView) -> dict[str, Any]:
    return {
        "id": str(view.assignment_id),
        "messages": [_message(message) for message in view.messages],
        **_answers(view),
        "draft": dict(view.draft),
        "draft_at": view.draft_saved_at.isoformat() if view.draft_saved_at else None,
        "answer": answer_payload(view.answer) if view.answer else None,
        "revises": view.answer is not None,
        "urls": {
            name: reverse(f"comparisons:{name}", args=[view.campaign_id, view.assignment_id])
            for name in ("submit", "revise", "draft", "skip", "park")
        }
        | {"ask": reverse("quality:ask", args=[view.assignment_id])},
    }


def _message(message: MessageView) -> dict[str, str]:
    return {
        "role": message.role,
        "html": written_html(written(message.content)),
        "text": marks_shown(message.content),
    }


def conversation_payload(
    talk: Talk, messages: Iterable[MessageView], *, turns: int
) -> dict[str, Any]:
    """Where the conversation stands, for the page on which it is written; `messages` as its rater may read
    them. One that is over is told of, and the next one begins."""
    going_on = talk.under_way
    return {
        "id": str(talk.id) if going_on else None,
        "turn": talk.turn if going_on else 1,
        "turns": turns,
        "waits": talk.waits is not None,
        "said": talk.said,
        "over": talk.over,
        "messages": [_message(message) for message in messages] if going_on else [],
    }


def _answers(view: ComparisonView) -> dict[str, Any]:
    """Two sides, of which each is marked where it only looks like the other; or a list to be ranked."""
    read = [written(text) for text in view.answers]
    if len(read) != PAIR:
        return {"answers": [_side(one, (), end) for one, end in zip(read, view.ended, strict=True)]}
    left, right = read
    otherwise = alike_but_different(left, right)
    return {
        "left": _side(left, otherwise[0], view.left_ended),
        "right": _side(right, otherwise[1], view.right_ended),
    }


def _side(read: AsWritten, otherwise: Collection[int], ended: bool) -> dict[str, Any]:
    """`spelled` are the characters, counted in code points, for each of which `text` has its number: the page
    counts its marks without them."""
    text = marks_shown(read.text)
    spelled = (
        [] if text == read.text else [n for n, c in enumerate(read.text) if marks_shown(c) != c]
    )
    return {
        "html": written_html(read, otherwise),
        "text": text,
        "spelled": spelled,
        "ended": ended,
    }


def answer_payload(answer: Answer) -> dict[str, Any]:
    return {
        "values": dict(answer.values),
        "both_bad": answer.both_bad,
        "flags": list(answer.flags),
        "rationale": answer.rationale,
        "seconds": answer.seconds,
        "reasons": list(answer.reasons),
        "spans": [asdict(span) for span in answer.spans],
        **({"ranking": list(answer.ranking)} if answer.ranking else {}),
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
    reasons, ranking = body.get("reasons", []), body.get("ranking", [])
    rationale, seconds = body.get("rationale", ""), body.get("seconds")
    if not isinstance(values, dict):
        raise AnswerInvalid("values: send an object of criterion and number from 1 to 7.")
    for name, names in (("flags", flags), ("reasons", reasons)):
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise AnswerInvalid(f"{name}: send a list of names.")
    if not isinstance(ranking, list) or not all(type(level) is int for level in ranking):
        raise AnswerInvalid("ranking: send a list of whole numbers, the level of each answer.")
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
        reasons=tuple(reasons),
        ranking=tuple(ranking),
        spans=_spans_read(body.get("spans", [])),
        seconds=None if seconds is None else float(seconds),
    )


def _spans_read(value: Any) -> tuple[Span, ...]:
    if not isinstance(value, list) or len(value) > MOST_SPANS:
        raise AnswerInvalid(f"spans: send a list of at most {MOST_SPANS} marked parts.")
    return tuple(_span_read(number, each) for number, each in enumerate(value, 1))


def _span_read(number: int, value: Any) -> Span:
    if not isinstance(value, dict) or set(value) != {"side", "start", "end", "label"}:
        raise AnswerInvalid(f"spans: mark {number} needs side, start, end and label, and no more.")
    for name in ("side", "label"):
        if not isinstance(value[name], str) or not 0 < len(value[name]) <= LONGEST_KEY:
            raise AnswerInvalid(f"spans: the {name} of mark {number} should be a short text.")
    for name in ("start", "end"):
        if type(value[name]) is not int or not 0 <= value[name] <= LONGEST_PLACE:
            raise AnswerInvalid(f"spans: the {name} of mark {number} should be a whole number.")
    return Span(**value)


def draft_read(body: Mapping[str, Any]) -> dict[str, Any]:
    """What was entered so far: an answer in which anything may be missing."""
    if not isinstance(body.get("answer"), dict):
        raise AnswerInvalid("answer: send an object.")
    answer = answer_read(body["answer"])
    for key, value in answer.values.items():
        if type(value) is not int or not LOWEST <= value <= HIGHEST:
            raise AnswerInvalid(f"{key[:60]}: use a whole number from {LOWEST} to {HIGHEST}.")
    if not all(1 <= level <= MOST_RANKED for level in answer.ranking):
        raise AnswerInvalid(f"ranking: use whole numbers from 1 to {MOST_RANKED}.")
    return {name: part for name, part in answer_payload(answer).items() if name in body["answer"]}


def preferences_read(body: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the preferences that the body names."""
    changed: dict[str, Any] = {}
    if "text_view" in body:
        if body["text_view"] not in TextView.values:
            raise AnswerInvalid(f"text_view: use one of {', '.join(TextView.values)}.")
        changed |= {"text_view": body["text_view"]}
    if "keys" in body:
        changed |= {"compare_keys": keys_read(body["keys"])}
    if "toured" in body:
        if body["toured"] is not True:
            raise AnswerInvalid("toured: send true.")
        changed |= {"toured": True}
    if not changed:
        raise AnswerInvalid("Send text_view, keys or toured.")
    return changed


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
