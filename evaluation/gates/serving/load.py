"""How many answers each replica writes: the next request goes where there are fewest, a drain waits for none."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

from .chat import ApiError
from .client import policy_healthy
from .forwarding import LOCAL, NobodyThere
from .routes import Answering, Current

MOST_AT_ONCE = 128  # answers for each replica


class AtReplica(NamedTuple):
    served: Current
    port: int


class Load:
    def __init__(self) -> None:
        self._under_way: Counter[tuple[int, int]] = Counter()  # by server and port
        self._last: dict[int, int] = {}  # by port, the turn in which it was asked last
        self._turn = count(1)
        self._changed = threading.Condition()

    @contextmanager
    def place(
        self, current: Callable[[], Current], answers: int, away: Collection[int]
    ) -> Iterator[AtReplica]:
        """A replica of the server that is current, with so many answers under way; none of the ports `away`.

        Raises `NobodyThere` where no other is there, and `ApiError`. The server is chosen under the lock by
        which a drain counts: what was sent to a server is never overlooked by the drain that follows its end.
        """
        with self._changed:
            served = current()
            port = self._least_busy(served.server, away)
            most = MOST_AT_ONCE * served.server.size
            if self._under_way.total() + answers > most:
                raise ApiError(503, "Too many requests at once; try again.", code="busy")
            key = id(served.server), port
            self._under_way[key] += answers
            self._last[port] = next(self._turn)
        try:
            yield AtReplica(served, port)
        finally:
            with self._changed:
                self._under_way[key] -= answers
                if not self._under_way[key]:
                    del self._under_way[key]
                self._changed.notify_all()

    def busy(self) -> bool:
        """Whether any answer is under way."""
        with self._changed:
            return self._under_way.total() > 0

    def drain(self, server: Answering, seconds: float) -> int:
        """Wait for the answers that this server writes, so long at most; how many are left then."""
        with self._changed:
            self._changed.wait_for(lambda: not self._left(server), timeout=seconds)
            return self._left(server)

    def _left(self, server: Answering) -> int:
        return sum(n for (owner, _), n in self._under_way.items() if owner == id(server))

    def _least_busy(self, server: Answering, away: Collection[int]) -> int:
        """The port with the fewest answers; of several, the one that was asked longest ago."""
        ports = [port for port in server.ports if port not in away]
        if not ports:
            raise NobodyThere
        owner = id(server)
        return min(ports, key=lambda port: (self._under_way[owner, port], self._last.get(port, 0)))


def replicas_up(server: Answering) -> dict[str, int]:
    """How many replicas say that they are well, `of` how many there should be."""
    ports = list(server.ports)
    with ThreadPoolExecutor(len(ports) or 1) as pool:
        up = sum(pool.map(lambda port: policy_healthy(host=LOCAL, port=port), ports))
    return {"up": up, "of": server.size}
