"""So many requests at once and no more: whatever hangs, a thread is left that answers probes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import BoundedSemaphore

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

logger = logging.getLogger(__name__)

FREE = "/health/"
WAIT_SECONDS = 1.0
# After a wait in vain the next requests are not kept waiting: they would take the last threads.
CLOSED_SECONDS = 5.0
SENTENCE = (
    "The site is busy with requests that do not come to an end. Try again in a few seconds.\n"
)


class Places:
    """Middleware, near the top. Probes need no place; every other request waits a moment for one, and keeps
    it until its answer is made, or sent where it is a file or a stream."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.places = BoundedSemaphore(settings.OUTERLOOP_PLACES)
        self.closed_until = 0.0

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(FREE):
            return self.get_response(request)
        if not self._taken():
            return HttpResponse(
                SENTENCE, status=503, content_type="text/plain", headers={"Retry-After": "5"}
            )
        try:
            response = self.get_response(request)
        except BaseException:
            self.places.release()
            raise
        if response.streaming:  # a file is sent by this thread, after this has returned
            _closed_with(response, self.places.release)
        else:
            self.places.release()
        return response

    def _taken(self) -> bool:
        wait = 0.0 if time.monotonic() < self.closed_until else WAIT_SECONDS
        if self.places.acquire(timeout=wait):
            return True
        if wait:
            self.closed_until = time.monotonic() + CLOSED_SECONDS
            logger.error("No place became free within %g s; requests are turned away.", wait)
        return False


def _closed_with(response: HttpResponseBase, release: Callable[[], None]) -> None:
    """Let the response's `close`, which the server calls whatever becomes of the sending, `release` once."""
    close, left = response.close, [release]

    def closed() -> None:
        try:
            close()
        finally:
            while left:
                left.pop()()

    response.close = closed  # type: ignore[method-assign]
