"""Asking the shadow what users were answered: after them, only while nobody is being answered, and never for long.

A user's thread does no more than put a request into a short queue, or count that it was full. One thread asks
the shadow. Texts are read in memory and forgotten; what is kept are counts and sums.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.db import DatabaseError, connections

from evaluation.gates import services
from evaluation.gates.records import ShadowCounts
from evaluation.safety.refusal import refusal_classify

from .chat import ApiError, ChatRequest
from .forwarding import EngineAway, completion
from .routes import Routes, ShadowRoute

if TYPE_CHECKING:
    from uuid import UUID

logger = logging.getLogger(__name__)

WAITING = 8
PATIENCE = 20.0  # until nobody is being answered
POLL = 0.05


@dataclass(frozen=True)
class AnsweredRequest:
    """A request that the deployed policy has answered, with `text`, in `seconds`."""

    route: ShadowRoute
    request: ChatRequest
    tokens: int
    text: str
    seconds: float


class Shadowing:
    """`busy` says whether users are being answered; `drawn(share)` whether a request is drawn."""

    def __init__(
        self,
        routes: Routes,
        *,
        name: str,
        busy: Callable[[], bool],
        drawn: Callable[[int], bool] = lambda share: random.random() * 100 < share,
    ) -> None:
        self.routes, self.name, self.busy, self.drawn = routes, name, busy, drawn
        self._queue: queue.Queue[AnsweredRequest] = queue.Queue(WAITING)
        self._dropped = 0

    def start(self) -> None:
        threading.Thread(target=self._work, name="shadow", daemon=True).start()

    def draw(self, request: ChatRequest) -> ShadowRoute | None:
        """The shadow that is to answer this request too; None for most of them."""
        route = self.routes.shadow
        if route is None or route.server is None or request.n != 1 or not self.drawn(route.share):
            return None
        return route

    def offer(self, offered: AnsweredRequest) -> None:
        """Never waits."""
        try:
            self._queue.put_nowait(offered)
        except queue.Full:
            self._dropped += 1

    def _work(self) -> None:
        while True:
            offered = self._queue.get()
            try:
                self._keep(offered.route.id, self._asked(offered))
            except Exception:
                logger.exception("A request could not be put to the shadow.")

    def _asked(self, offered: AnsweredRequest) -> ShadowCounts:
        if not self._free():
            return ShadowCounts(dropped=1)
        server = offered.route.server
        assert server is not None
        port = next(iter(server.server.ports), None)
        if port is None:  # it is being started again
            return ShadowCounts(dropped=1)
        request = replace(offered.request, stream=False)
        began = time.monotonic()
        try:
            answer = completion(port, request, tokens=offered.tokens, model=self.name)
        except (EngineAway, ApiError) as error:
            now = self.routes.shadow
            if (
                now is None or now.server != server
            ):  # it was ended meanwhile, which is no fault of its
                return ShadowCounts(dropped=1)
            logger.warning("The shadow gave no answer: %s", error)
            return ShadowCounts(failed=1)
        text = answer["choices"][0]["message"]["content"] or ""
        return compared(offered, text, time.monotonic() - began)

    def _free(self) -> bool:
        """Whether nobody is being answered, now or soon."""
        until = time.monotonic() + PATIENCE
        while self.busy():
            if time.monotonic() > until:
                return False
            time.sleep(POLL)
        return True

    def _keep(self, shadow_id: UUID, counts: ShadowCounts) -> None:
        dropped, self._dropped = self._dropped, 0
        try:
            services.shadow_count(
                shadow_id=shadow_id, counts=replace(counts, dropped=counts.dropped + dropped)
            )
        except DatabaseError as error:
            logger.warning("What the shadow did is not counted: %s", error)
        finally:
            connections.close_all()


def compared(offered: AnsweredRequest, text: str, seconds: float) -> ShadowCounts:
    """One answered request."""
    refused = refusal_classify(text) == "full"
    deployed = refusal_classify(offered.text) == "full"
    return ShadowCounts(
        answered=1,
        seconds=seconds,
        deployed_seconds=offered.seconds,
        characters=len(text),
        deployed_characters=len(offered.text),
        refused=refused,
        deployed_refused=deployed,
        refused_alone=refused and not deployed,
        deployed_refused_alone=deployed and not refused,
    )
