"""The replicas of one version: each has a thread of its own, which takes it out and starts it again.

A thread starts its server, asks every few seconds whether it is well, and ends it when it was silent for
`HUNG_SECONDS`. A replica that has ended is started again while another is there; when none is, the
supervisor starts all of them, as it does with a single one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from evaluation.gates.serving.client import policy_healthy
from evaluation.gates.serving.engine import LOCAL, STOP_SECONDS, EngineError, EngineServer

log = logging.getLogger(__name__)

BACKOFF_FIRST = 1.0
BACKOFF_LONGEST = 60.0
STEADY_SECONDS = 60.0  # a server that ran this long is no crash loop

Start = Callable[[int, Callable[[], bool]], EngineServer]


def pause_after(failures: int) -> float:
    """Seconds to wait after this many failures before: twice as long after each, up to a minute."""
    return min(BACKOFF_LONGEST, BACKOFF_FIRST * 2.0 ** min(failures, 10))


@dataclass(frozen=True)
class Patience:
    """Seconds: between two looks at a process, between two questions, and of silence until it is ended."""

    look: float = 0.5
    probe: float = 5.0
    hung: float = 60.0


def answers(port: int) -> bool:
    return policy_healthy(host=LOCAL, port=port)


class Fleet:
    """`start(number, cancelled)` returns replica 1..`size` once it has answered, or raises `EngineError`."""

    def __init__(
        self,
        start: Start,
        size: int,
        *,
        healthy: Callable[[int], bool] = answers,
        patience: Patience = Patience(),
    ) -> None:
        self.start, self.size, self.healthy, self.patience = start, size, healthy, patience
        self.stopped = threading.Event()
        self._given_up: Callable[[], bool] = lambda: False
        self._replicas = [_Replica(self, number) for number in range(1, size + 1)]

    def begin(self, given_up: Callable[[], bool] = lambda: False) -> Fleet:
        """Start all at once and wait until each is up or has failed.

        Those that are up are served, and the others tried again; where none is, its error is raised.
        """
        self._given_up = given_up
        for replica in self._replicas:
            replica.start()
        for replica in self._replicas:
            replica.tried.wait()
        self._given_up = lambda: False
        errors = [replica.error for replica in self._replicas if replica.error is not None]
        if len(errors) == self.size:
            self.stop()
            raise errors[0]
        return self

    def cancelled(self) -> bool:
        return self.stopped.is_set() or self._given_up()

    @property
    def ports(self) -> Sequence[int]:
        """Of those that may be asked: the well ones, or where none is, those that run."""
        running = [(replica, engine) for replica in self._replicas if (engine := replica.running())]
        well = [engine.port for replica, engine in running if replica.well]
        return well or [engine.port for _, engine in running]

    def alive(self) -> bool:
        """Whether a replica runs or is being started."""
        return any(replica.there() for replica in self._replicas)

    def last_words(self) -> str:
        """Of a replica that ended by itself; for when none is left."""
        ended = [replica.engine for replica in self._replicas if replica.engine is not None]
        return ended[-1].last_words() if ended else ""

    def others_there(self, but: _Replica) -> bool:
        return any(replica.there() for replica in self._replicas if replica is not but)

    def stop(self) -> None:
        """End all at the same time; one that is being started ends as soon as it is up."""
        self.stopped.set()
        with ThreadPoolExecutor(self.size) as pool:
            list(pool.map(_Replica.end, self._replicas))
        until = time.monotonic() + STOP_SECONDS
        for replica in self._replicas:
            if replica.is_alive():
                replica.join(max(0.0, until - time.monotonic()))


class _Replica(threading.Thread):
    """The thread lives as long as its server: the kernel ends a child with the thread that made it."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        super().__init__(name=f"replica {number}", daemon=True)
        self.fleet, self.number = fleet, number
        self.engine: EngineServer | None = None
        self.well = self.starting = False
        self.tried = threading.Event()
        self.error: Exception | None = None
        self._failures = 0

    def running(self) -> EngineServer | None:
        engine = self.engine
        return engine if engine is not None and engine.alive() else None

    def there(self) -> bool:
        return self.starting or self.running() is not None

    def end(self) -> None:
        if self.engine is not None:
            self.engine.stop()

    def run(self) -> None:
        stopped = self.fleet.stopped
        while not stopped.is_set():
            began = time.monotonic()
            engine = self._brought_up()
            self.tried.set()
            if engine is not None:
                self._watch(engine)
                if time.monotonic() - began > STEADY_SECONDS:
                    self._failures = 0
            if stopped.wait(pause_after(self._failures)):
                break
            self._failures += 1
            while not self.fleet.others_there(self) and not stopped.wait(self.fleet.patience.look):
                pass  # nobody is left: the supervisor's affair

    def _brought_up(self) -> EngineServer | None:
        self.starting, self.well = True, True
        try:
            engine = self.fleet.start(self.number, self.fleet.cancelled)
            self.engine, self.error = engine, None
            if self.fleet.stopped.is_set():
                engine.stop()
            return engine
        except Exception as error:  # a thread that ended here would be a replica less for ever
            self.error = error
            if not self.fleet.cancelled():
                log.error(
                    "Replica %d of %d does not come up: %s", self.number, self.fleet.size, error,
                    exc_info=not isinstance(error, EngineError),
                )  # fmt: skip
            return None
        finally:
            self.starting = False

    def _watch(self, engine: EngineServer) -> None:
        """Until it has ended, by itself or because it was silent for too long."""
        patience, heard = self.fleet.patience, time.monotonic()
        asked = heard
        while engine.alive() and not self.fleet.stopped.wait(patience.look):
            now = time.monotonic()
            if self.well and now - asked < patience.probe:
                continue
            self.well, asked = self.fleet.healthy(engine.port), now
            if self.well:
                heard = now
            elif now - heard > patience.hung:
                log.error(
                    "Replica %d was silent for %g s; it is ended.", self.number, patience.hung
                )
                break
        if not self.fleet.stopped.is_set():
            log.error("Replica %d of %d has ended.", self.number, self.fleet.size)
        engine.stop()
