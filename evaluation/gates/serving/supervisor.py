"""Keeps a server on what is wanted, the line's pointer or its canary: one step each second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import UUID

from evaluation.gates.serving.duties import DeployedDuty, Duty, ToServe
from evaluation.gates.serving.engine import EngineError, Served
from evaluation.gates.serving.fleet import STEADY_SECONDS, pause_after
from training import facade as training

log = logging.getLogger(__name__)

# What a server that is replaced may still take for its answers, and one that is stopped: what
# supervises this process kills it a few seconds after it was asked to end.
DRAIN_SECONDS = 60.0
STOP_DRAIN_SECONDS = 2.0


class Target(Protocol):
    """The public port, asking replicas on local ones; `drain` says how many of their requests are left."""

    def point(
        self, server: Served | None, artifact: Path | None = None, version: UUID | None = None
    ) -> None: ...
    def drain(self, server: Served, seconds: float) -> int: ...


@dataclass(frozen=True)
class Leaving:
    """A server that is asked nothing new, and may answer what it has until a time of the clock."""

    server: Served
    until: float


@dataclass
class Supervisor:
    """`start(artifact path)` returns a server that has answered, or raises `EngineError`.

    `overlap` starts the new server beside the old one, so that callers notice no switch and a
    version that cannot be served leaves the old one answering. Without it the old one is stopped
    first: for a machine whose memory holds one model. Either way the old one is given `DRAIN_SECONDS` for
    the answers that it has begun, while the supervisor goes on looking at the new one.

    `duty` says what is wanted, by default what the line's pointer shows; `room` whether there is memory for
    a server more than it has.
    """

    line_id: UUID
    start: Callable[[Path], Served]
    public: Target
    overlap: bool = True
    clock: Callable[[], float] = time.monotonic
    duty: Duty | None = None
    room: Callable[[], bool] = lambda: True
    server: Served | None = None
    serving: ToServe | None = None
    _failures: int = 0
    _failed: UUID | None = None
    _retry_at: float = 0.0
    _since: float = field(default=0.0)
    _leaving: Leaving | None = None
    _held: dict[int, training.Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._duty: Duty = self.duty or DeployedDuty(self.line_id)

    def step(self) -> None:
        """Look at what is wanted and at the server once, and do what is needed."""
        self._left()
        wanted = self._duty.wanted()
        if self.server is not None and not self.server.alive():
            self._crashed()
        if wanted is None:
            self._idle()
            return
        if self.server is not None and self.serving is not None and self.serving.id == wanted.id:
            self._steady(wanted)
            return
        if self._failed != wanted.id:
            self._failures, self._failed, self._retry_at = 0, None, 0.0
        if self.clock() >= self._retry_at:
            self._switch(wanted)

    @property
    def empty(self) -> bool:
        """Whether no server of its own is in memory."""
        return self.server is None and self._leaving is None

    @property
    def leaving(self) -> bool:
        return self._leaving is not None

    def hand_over(self, to: Supervisor, wanted: ToServe) -> None:
        """Let another supervisor go on with this one's server, which serves what that one wants now."""
        assert self.server is not None
        server, self.server, self.serving = self.server, None, None
        held = self._held.pop(id(server))
        self.public.point(None)
        to.take_over(server, held, wanted)

    def take_over(self, server: Served, held: training.Held, wanted: ToServe) -> None:
        self._held[id(server)] = held
        self._point(server, held, wanted)

    def stop(self, seconds: float = STOP_DRAIN_SECONDS) -> None:
        """End every server, after `seconds` at most for the answers that they have begun."""
        self.public.point(None)
        until = time.monotonic() + seconds
        leaving = self._leaving.server if self._leaving else None
        for server in (leaving, self.server):
            if server is not None:
                self._end(server, self.public.drain(server, max(0.0, until - time.monotonic())))
        self.server = self.serving = self._leaving = None

    def _idle(self) -> None:
        """Nothing is wanted: what is served ends with its answers."""
        if self.server is not None and self._left():
            self.public.point(None)
            old, self.server, self.serving = self.server, None, None
            self._leave(old)

    def _steady(self, wanted: ToServe) -> None:
        if self.clock() - self._since > STEADY_SECONDS:
            self._failures = 0
        if wanted.served_at is None:  # the database did not answer when the server first did
            self._duty.served(wanted)

    def _switch(self, wanted: ToServe) -> None:
        if not self.room():
            return
        if not self.overlap and self.server is not None:
            self.public.point(None)
            self._leave(self.server)
            self.server = self.serving = None
        if not self._left():  # a third model in memory would be one too many
            return
        log.info(
            "Starting a server on %s %s (version %s).",
            self._duty.name,
            wanted.id,
            wanted.version_id,
        )
        try:
            held = training.model_version_hold(wanted.version_id)
            server = self._started(held)
        except (EngineError, training.ArtifactMismatch, OSError) as error:
            self._failed_to_serve(wanted, str(error))
            return
        self._point(server, held, wanted)

    def _point(self, server: Served, held: training.Held, wanted: ToServe) -> None:
        old = self.server
        self.server, self.serving, self._since = server, wanted, self.clock()
        self.public.point(server, held.path, wanted.version_id)
        if old is not None:
            self._leave(old)
        self._duty.served(wanted)
        log.info("Serving %s %s.", self._duty.name, wanted.id)

    def _started(self, held: training.Held) -> Served:
        """A server on the files that are held for it until it has ended."""
        try:
            server = self.start(held.path)
        except BaseException:
            held.release()
            raise
        self._held[id(server)] = held
        return server

    def _release(self, server: Served) -> None:
        held = self._held.pop(id(server), None)
        if held is not None:
            held.release()

    def _leave(self, server: Served) -> None:
        self._leaving = Leaving(server, self.clock() + DRAIN_SECONDS)
        self._left()

    def _left(self) -> bool:
        """Whether the server before has ended: when its answers are whole, or their time is over."""
        if self._leaving is None:
            return True
        server = self._leaving.server
        under_way = self.public.drain(server, 0.0)
        if under_way and self.clock() < self._leaving.until:
            return False
        self._leaving = None
        self._end(server, under_way)
        return True

    def _end(self, server: Served, under_way: int) -> None:
        if under_way:
            log.warning(
                "A server is stopped that had not ended its answers: %d are cut.", under_way
            )
        server.stop()
        self._release(server)

    def _failed_to_serve(self, wanted: ToServe, error: str) -> None:
        log.error("The %s %s cannot be served: %s", self._duty.name, wanted.id, error)
        self._back_off(wanted.id)
        self._duty.failed(wanted, error, still_serving=self.server is not None)

    def _crashed(self) -> None:
        assert self.serving is not None
        log.error("The server of %s %s ended by itself.", self._duty.name, self.serving.id)
        self.public.point(None)
        server, crashed = self.server, self.serving
        self.server = self.serving = None
        self._back_off(crashed.id)
        if server is not None:
            last_words = server.last_words()
            server.stop()  # what it leaves on the disk
            self._release(server)
            self._duty.ended(crashed, last_words)

    def _back_off(self, deployment_id: UUID) -> None:
        """Wait twice as long after each failure, up to a minute."""
        self._failed = deployment_id
        self._retry_at = self.clock() + pause_after(self._failures)
        self._failures += 1
