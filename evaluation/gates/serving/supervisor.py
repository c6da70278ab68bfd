"""Keeps the server on what the line's pointer shows: one step each second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import UUID

from evaluation.gates import selectors, services
from evaluation.gates.records import LineDeployment
from evaluation.gates.serving.engine import EngineError, Served
from evaluation.gates.serving.notices import serving_failure_tell
from training import facade as training

log = logging.getLogger(__name__)

BACKOFF_FIRST = 1.0
BACKOFF_LONGEST = 60.0
STEADY_SECONDS = 60.0  # a server that ran this long is no crash loop


class Target(Protocol):
    """The public port; `target` is the local port that it passes connections on to."""

    target: int | None


@dataclass
class Supervisor:
    """`start(artifact path)` returns a server that has answered, or raises `EngineError`.

    `overlap` starts the new server beside the old one, so that callers notice no switch and a
    version that cannot be served leaves the old one answering. Without it the old one is stopped
    first: for a machine whose memory holds one model.
    """

    line_id: UUID
    start: Callable[[Path], Served]
    public: Target
    overlap: bool = True
    clock: Callable[[], float] = time.monotonic
    server: Served | None = None
    serving: LineDeployment | None = None
    _failures: int = 0
    _failed: UUID | None = None
    _retry_at: float = 0.0
    _since: float = field(default=0.0)

    def step(self) -> None:
        """Look at the pointer and the server once, and do what is needed."""
        wanted = selectors.deployment_current(self.line_id)
        if wanted is None:
            return
        if self.server is not None and not self.server.alive():
            self._crashed()
        if self.server is not None and self.serving is not None and self.serving.id == wanted.id:
            self._steady(wanted)
            return
        if self._failed != wanted.id:
            self._failures, self._failed, self._retry_at = 0, None, 0.0
        if self.clock() >= self._retry_at:
            self._switch(wanted)

    def stop(self) -> None:
        self.public.target = None
        if self.server is not None:
            self.server.stop()
        self.server = self.serving = None

    def _steady(self, wanted: LineDeployment) -> None:
        if self.clock() - self._since > STEADY_SECONDS:
            self._failures = 0
        if wanted.served_at is None:  # the database did not answer when the server first did
            services.deployment_mark_served(wanted.id)

    def _switch(self, wanted: LineDeployment) -> None:
        if not self.overlap:
            self.stop()
        log.info("Starting a server on deployment %s (version %s).", wanted.id, wanted.version_id)
        try:
            training.model_version_verify(wanted.version_id)
            server = self.start(training.model_version_get(wanted.version_id).path)
        except (EngineError, training.ArtifactMismatch) as error:
            self._failed_to_serve(wanted, str(error))
            return
        old = self.server
        self.server, self.serving, self._since = server, wanted, self.clock()
        self.public.target = server.port
        if old is not None:
            old.stop()
        services.deployment_mark_served(wanted.id)
        log.info("Serving deployment %s.", wanted.id)

    def _failed_to_serve(self, wanted: LineDeployment, error: str) -> None:
        log.error("Deployment %s cannot be served: %s", wanted.id, error)
        self._back_off(wanted.id)
        services.deployment_mark_failed(wanted.id, error)
        serving_failure_tell(wanted, error.splitlines()[0], still_serving=self.server is not None)

    def _crashed(self) -> None:
        assert self.serving is not None
        log.error("The server of deployment %s ended by itself.", self.serving.id)
        self.public.target = None
        crashed, self.server, self.serving = self.serving, None, None
        self._back_off(crashed.id)

    def _back_off(self, deployment_id: UUID) -> None:
        """Wait twice as long after each failure, up to a minute."""
        self._failed = deployment_id
        wait = min(BACKOFF_LONGEST, BACKOFF_FIRST * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._retry_at = self.clock() + wait
