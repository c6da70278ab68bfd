"""One question to an OpenAI-compatible server, through the door for addresses that people typed.

The key is an operator's, written beside the host that it is for: it goes to that host alone, and into no
row, log or sentence.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from django.conf import settings as site

from evaluation.contracts import JudgeSettings
from web.json_contract import canonical_json
from web.outgoing import OutgoingAnswer, OutgoingFailed, OutgoingRefused, post, target_of

ANSWER_BYTES = 262_144
AGENT = "Outerloop-Judge/1"
# Between two tries of one question, doubled each time; the server may ask for up to the longest.
PAUSE_SECONDS, LONGEST_PAUSE = 1.0, 60.0
TRIED_AGAIN = {408, 409, 425, 429}
# What no other question would change: the key, the address, the model's name.
ENDS_ALL = {401, 402, 403, 404, 405}


class JudgeStopped(Exception):
    """No question will be answered; the sentence says why."""


class JudgeSilent(Exception):
    """This question got no answer; the sentence says why."""


@dataclass(frozen=True)
class JudgeReply:
    """`text` as it came; `seconds` of the request that was answered."""

    text: str
    seconds: float


def request_body(settings: JudgeSettings, messages: Sequence[dict[str, str]]) -> bytes:
    """The body of a question: the same settings and messages give the same bytes."""
    return canonical_json(
        {
            "model": settings.model,
            "messages": list(messages),
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
    ).encode(errors="replace")


def judge_asked(settings: JudgeSettings, body: bytes, *, halt: Event) -> JudgeReply:
    """The answer to one question, after `settings.attempts` tries at most; no further one once `halt` is set.

    Raises `JudgeStopped` where asking on is of no use, else `JudgeSilent`.
    """
    said, pause = "It was not asked.", PAUSE_SECONDS
    for attempt in range(1, settings.attempts + 1):
        began = time.monotonic()
        try:
            answer = _posted(settings, body)
        except OutgoingRefused as error:
            raise JudgeStopped(str(error)) from error
        except OutgoingFailed as error:
            said, wait = str(error), pause
        else:
            if 200 <= answer.status < 300:
                return JudgeReply(_content(answer), time.monotonic() - began)
            said, wait = _refusal(answer, settings), answer.retry_after or pause
        if attempt == settings.attempts or halt.wait(min(wait, LONGEST_PAUSE)):
            break
        pause = 2 * pause
    raise JudgeSilent(said)


def key_host(url: str) -> str:
    """HOST, or HOST:PORT where the port is not the scheme's own: what an operator writes beside a key."""
    target = target_of(url)
    usual = target.port == (443 if target.tls else 80)
    return target.host if usual else f"{target.host}:{target.port}"


def has_key(url: str) -> bool:
    """Whether an operator wrote a key beside the host; False for an address that may not be asked."""
    try:
        return key_host(url) in site.OUTERLOOP_JUDGE_KEYS
    except OutgoingRefused:
        return False


def _posted(settings: JudgeSettings, body: bytes) -> OutgoingAnswer:
    url = settings.chat_url
    key = site.OUTERLOOP_JUDGE_KEYS.get(key_host(url))
    headers = {"Content-Type": "application/json", "User-Agent": AGENT}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return post(
        url,
        body=body,
        headers=headers,
        seconds=settings.seconds,
        connect_seconds=settings.connect_seconds,
        read_bytes=ANSWER_BYTES,
    )


def _refusal(answer: OutgoingAnswer, settings: JudgeSettings) -> str:
    """What the server said of a question that it may answer later; raises where it will not."""
    key = site.OUTERLOOP_JUDGE_KEYS.get(key_host(settings.chat_url), "")
    beginning = answer.beginning.replace(key, "(the key)") if key else answer.beginning
    said = f"The judge answered {answer.status}: {beginning[:200]}".rstrip(": ")
    if 300 <= answer.status < 400:
        raise JudgeStopped(
            f"{said}. Redirects are not followed; give the address that it leads to."
        )
    if answer.status in ENDS_ALL:
        raise JudgeStopped(said)
    if answer.status < 500 and answer.status not in TRIED_AGAIN:
        raise JudgeSilent(said)
    return said


def _content(answer: OutgoingAnswer) -> str:
    """The text of a chat completion as it can be stored (no NUL, no half of a surrogate pair); a
    completion without text is an empty one."""
    try:
        document: Any = json.loads(answer.body)
        content = document["choices"][0]["message"]["content"]
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise JudgeSilent("The judge answered something that is no chat completion.") from error
    if content is not None and not isinstance(content, str):
        raise JudgeSilent("The judge answered a chat completion whose content is no text.")
    return (content or "").replace("\0", "").encode(errors="replace").decode()
