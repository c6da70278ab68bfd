"""The deployed policy and, while one is under way, its canary or shadow: two servers behind one public port.

There are never three models in memory: a canary or shadow starts once the deployed policy is served alone, a deployment
waits until the canary's server has left, and a canary that is widened goes on with the server that it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from evaluation.gates.records import CanaryRecord, ShadowRecord
from evaluation.gates.routing import CanarySplit
from evaluation.gates.serving.duties import BesideDuty, DeployedDuty
from evaluation.gates.serving.engine import Served
from evaluation.gates.serving.relay import Relay
from evaluation.gates.serving.routes import ShadowRoute
from evaluation.gates.serving.supervisor import STOP_DRAIN_SECONDS, Supervisor

ONE_MODEL = (
    "This policy server was started with --no-overlap, as its memory holds one model; a canary or a shadow needs"
    " two. Start it without, or take the canary back, or end the shadow."
)


@dataclass
class BesidePort:
    """The relay's port as the supervisor of the canary or shadow sees it."""

    relay: Relay

    def point(
        self, server: Served | None, artifact: Path | None = None, version: UUID | None = None
    ) -> None:
        self.relay.routes.point_beside(server, artifact, version)

    def drain(self, server: Served, seconds: float) -> int:
        return self.relay.drain(server, seconds)


@dataclass
class ServingPair:
    """`start(artifact, given up)` returns a server that has answered; while it starts a canary, `given up` says
    whether the deployed policy's server has ended and must be looked after first."""

    line_id: UUID
    start: Callable[[Path, Callable[[], bool]], Served]
    relay: Relay
    overlap: bool = True
    clock: Callable[[], float] = time.monotonic
    deployed: Supervisor = field(init=False)
    canary: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        self.deployed = Supervisor(
            self.line_id,
            lambda artifact: self.start(artifact, lambda: False),
            self.relay,
            overlap=self.overlap,
            clock=self.clock,
            duty=DeployedDuty(self.line_id),
            room=lambda: self.deployed.server is None or self.canary.empty,
        )
        self.canary = Supervisor(
            self.line_id,
            lambda artifact: self.start(artifact, self._deployed_ended),
            BesidePort(self.relay),
            overlap=False,
            clock=self.clock,
            duty=BesideDuty(self.line_id),
            room=lambda: self.deployed.server is not None and not self.deployed.leaving,
        )

    def step(self) -> None:
        wanted = BesideDuty(self.line_id).wanted()
        self._widened()
        self._route(wanted)
        if self.overlap:
            self.canary.step()
        elif wanted is not None and not wanted.served_error:
            BesideDuty(self.line_id).failed(wanted, ONE_MODEL, still_serving=False)
        self.deployed.step()

    def stop(self, seconds: float = STOP_DRAIN_SECONDS) -> None:
        """End both at the same time: what supervises this process waits for neither longer."""
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(each.stop, seconds) for each in (self.deployed, self.canary)]:
                done.result()

    def _route(self, wanted: CanaryRecord | ShadowRecord | None) -> None:
        canary, shadow = None, None
        if isinstance(wanted, CanaryRecord):
            canary = CanarySplit(wanted.id, wanted.share)
        elif wanted is not None:
            shadow = ShadowRoute(wanted.id, wanted.share)
        self.relay.routes.split(canary)
        self.relay.routes.shade(shadow)

    def _widened(self) -> None:
        """What is deployed now has a server already: the canary's, or the shadow's."""
        has, wanted = self.canary.serving, DeployedDuty(self.line_id).wanted()
        served = self.canary.server
        if has is None or served is None or wanted is None or not served.alive():
            return
        moved = (
            self.deployed.serving is None or self.deployed.serving.version_id != wanted.version_id
        )
        if moved and has.version_id == wanted.version_id and not self.deployed.leaving:
            self.canary.hand_over(self.deployed, wanted)

    def _deployed_ended(self) -> bool:
        server = self.deployed.server
        return server is None or not server.alive()
