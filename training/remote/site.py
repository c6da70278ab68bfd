"""The site as a job meets it: four addresses below `/jobs/RUN/ATTEMPT/`, opened by the attempt's token."""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, TypeVar

SECONDS = 30.0
"""So long a connection may take, and each wait for bytes."""

MOST_BYTES = 64 << 20
FOR_GOOD = (400, 401, 409, 413)
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0

T = TypeVar("T")


class SiteRefused(RuntimeError):
    """The site does not want this job any more, or never will: the message is its sentence."""


class Away(RuntimeError):
    """Site or storage do not answer, or not as they should: later they may."""


def _opener() -> urllib.request.OpenerDirector:
    """Without redirects: else the token would go wherever an answer points."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


OPENER = _opener()


class Site:
    def __init__(self, address: str, run: str, attempt: int, token: str) -> None:
        self.place = f"{address.rstrip('/')}/jobs/{run}/{attempt}"
        self.token = token

    def call(self, action: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """What the site answers. Raises `SiteRefused` or `Away`."""
        request = urllib.request.Request(  # noqa: S310 - the scheme is that of a setting
            f"{self.place}/{action}/",
            data=json.dumps(document).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
        )
        try:
            content = answer_read(request, MOST_BYTES)
            answer = json.loads(content)
        except urllib.error.HTTPError as error:
            raise _problem(error) from None
        except ValueError as error:
            raise Away(f"the site's answer is no JSON ({error})") from None
        if not isinstance(answer, dict):
            raise Away("the site's answer is no JSON object")
        return answer


def answer_read(request: urllib.request.Request, most: int) -> bytes:
    """The body of an answer. Raises `urllib.error.HTTPError` for one that says no, else `Away`."""
    try:
        with OPENER.open(request, timeout=SECONDS) as answer:
            content: bytes = answer.read(most)
            return content
    except urllib.error.HTTPError:
        raise
    except (OSError, HTTPException) as error:
        raise Away(f"{request.host} does not answer ({error})") from None


def _problem(error: urllib.error.HTTPError) -> Exception:
    if 300 <= error.code < 400:
        return SiteRefused(
            f"the site answers {error.code} and sends us elsewhere: mend OUTERLOOP_JOB_SITE"
        )
    try:
        said = str(json.loads(error.read(MOST_BYTES))["error"])
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        said = f"the site answers {error.code}"
    return SiteRefused(said) if error.code in FOR_GOOD else Away(said)


def patient(act: Callable[[], T], *, seconds: float, say: Callable[[str], None]) -> T:
    """`act()`, again and again while site or storage are away; after `seconds` the last `Away` is raised."""
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        try:
            return act()
        except Away as away:
            if time.monotonic() + pause > deadline:
                raise
            say(f"{away}; trying again")
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)
