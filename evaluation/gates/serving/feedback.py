"""Feedback on answers of the policy server: what a request may hold, and where it goes.

The line that keeps no signals is served as if there were none of this. A database that does not answer
costs the chance to give feedback, never an answer.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connections

from annotation import facade as annotation
from web.texts import storable

from .chat import ApiError

logger = logging.getLogger(__name__)

FEEDBACK = "/v1/feedback"
LONGEST_TEXT = 20_000
LONGEST_USER = 200
KNOWN = ("completion_id", "user", "thumb", "edit", "text", "regenerated")
STATUS = {
    "signals_off": 403,
    "completion_not_found": 404,
    "completion_expired": 410,
    "too_many_users": 429,
}


class Journal:
    """Keeps the answers of one line, and takes what users say of them."""

    def __init__(self, line_id: UUID) -> None:
        self.line_id = line_id

    def new_id(self) -> str | None:
        """An id for an answer that will be kept; None where none are."""
        try:
            return f"chatcmpl-{uuid.uuid4().hex}" if annotation.signals_on(self.line_id) else None
        except DatabaseError as error:
            logger.warning("Signals cannot be kept: %s", error)
            return None
        finally:
            connections.close_all()

    def keep(
        self, completion_id: str, version_id: UUID, messages: list[dict[str, str]], text: str
    ) -> None:
        if not storable(text):
            return
        try:
            annotation.completion_keep(
                completion_id=completion_id, line_id=self.line_id, version_id=version_id,
                messages=messages, text=text,
            )  # fmt: skip
        except DatabaseError as error:
            logger.warning("An answer is not kept for signals: %s", error)
        finally:
            connections.close_all()

    def give(self, signal: annotation.NewSignal) -> None:
        """Raises `ApiError`."""
        try:
            annotation.signal_give(line_id=self.line_id, signal=signal)
        except annotation.SignalRefused as refusal:
            raise ApiError(STATUS[refusal.code], str(refusal), code=refusal.code) from refusal
        except DatabaseError as error:
            raise ApiError(
                503, "Feedback cannot be stored now; try again.", code="no_database"
            ) from error
        finally:
            connections.close_all()


class KeptStream:
    """Passes a stream on, under an id of ours where there is one, and hands its text to `keep` before its last
    event is passed on: who reads that may send feedback at once. A stream that breaks off is not kept."""

    def __init__(
        self, pieces: Iterator[bytes], completion_id: str | None, keep: Callable[[str], None]
    ) -> None:
        self.pieces, self.completion_id, self.keep = pieces, completion_id, keep
        self.words: list[str] = []
        self.whole = False

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for piece in self.pieces:
            *lines, rest = (rest + piece).split(b"\n")
            if lines:
                yield b"".join(self._line(line) + b"\n" for line in lines)
        if rest:
            yield self._line(rest)

    def _line(self, line: bytes) -> bytes:
        if line.strip() == b"data: [DONE]":
            self._end()
        if not line.startswith(b"data: {"):
            return line
        try:
            event = json.loads(line[len(b"data: ") :])
            self.words += [each["delta"].get("content") or "" for each in event["choices"]]
            ended = any(each.get("finish_reason") for each in event["choices"])
        except (ValueError, LookupError, TypeError, AttributeError):
            return line
        if ended:  # `transformers serve` says so, and no [DONE]
            self._end()
        if self.completion_id is None:
            return line
        return b"data: " + json.dumps({**event, "id": self.completion_id}).encode()

    def _end(self) -> None:
        if not self.whole:
            self.whole = True
            self.keep("".join(self.words))


def feedback_request(body: bytes) -> annotation.NewSignal:
    """The feedback as it was meant, or an `ApiError` that names the field."""
    try:
        document = json.loads(body)
        readable = storable(document)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The body is no JSON.") from error
    if not isinstance(document, dict) or not readable:
        raise ApiError(400, "The body must be a JSON object of readable texts.")
    for name in document:
        if name not in KNOWN:
            raise _wrong(name[:100], f"is no field of feedback; there are {', '.join(KNOWN)}")
    signal = annotation.NewSignal(
        _text(document, "completion_id", LONGEST_USER),
        _text(document, "user", LONGEST_USER),
        _text(document, "thumb", LONGEST_TEXT),
        _text(document, "edit", LONGEST_TEXT),
        _text(document, "text", LONGEST_TEXT),
        _flag(document, "regenerated"),
    )
    if not signal.completion_id:
        raise _wrong("completion_id", "is missing: send the id of the answer")
    if signal.thumb not in ("", "up", "down"):
        raise _wrong("thumb", 'must be "up" or "down"')
    if not (signal.thumb or signal.edit or signal.text or signal.regenerated):
        raise _wrong("thumb", "is missing: send one of thumb, edit, text and regenerated")
    return signal


def _text(document: dict[str, Any], name: str, longest: int) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(name, "must be a text")
    if len(value) > longest:
        raise _wrong(name, f"has {len(value)} characters; {longest} are the most")
    return value


def _flag(document: dict[str, Any], name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "must be true or false")
    return bool(value)


def _wrong(name: str, says: str) -> ApiError:
    return ApiError(400, f"{name} {says}.", param=name, code="invalid_value")
