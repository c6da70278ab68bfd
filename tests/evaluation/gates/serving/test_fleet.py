"""Several replicas of one version: who starts them, takes them out, and starts them again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from evaluation.gates.serving import fleet
from evaluation.gates.serving.engine import EngineError, gpus_of
from evaluation.gates.serving.fleet import Fleet, Patience, pause_after
from tests.evaluation.gates.serving.test_supervisor import FakeServer


@dataclass
class Bench:
    """Fake servers by the number of their replica; `failing` numbers do not come up, `hanging` ports are silent."""

    started: list[tuple[int, FakeServer]] = field(default_factory=list)
    failing: set[int] = field(default_factory=set)
    hanging: set[int] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    made: list[Fleet] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fleet(self, size: int, given_up: Callable[[], bool] = lambda: False) -> Fleet:
        self.made.append(
            Fleet(self.start, size, healthy=self.healthy, patience=Patience(0.01, 0.02, 0.2))
        )
        return self.made[-1].begin(given_up)

    def start(self, number: int, cancelled: Callable[[], bool]) -> FakeServer:
        if number in self.failing:
            raise EngineError(f"no memory for {number}")
        while self.started and not self.gate.is_set():  # of the second and later ones
            if cancelled():
                raise EngineError("The start was called off.")
            time.sleep(0.01)
        with self.lock:
            server = FakeServer(port=9000 + len(self.started))
            self.started.append((number, server))
        return server

    def healthy(self, port: int) -> bool:
        return port not in self.hanging

    def server(self, number: int) -> FakeServer:
        """The last one that was started as this replica."""
        return next(server for n, server in reversed(self.started) if n == number)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(fleet, "BACKOFF_FIRST", 0.02)
    made = Bench()
    made.gate.set()
    yield made
    made.gate.set()
    for each in made.made:
        each.stop()
    assert not any(server.running for _, server in made.started)


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_all_are_up_before_it_is_served(bench: Bench) -> None:
    found = bench.fleet(3)
    assert sorted(n for n, _ in bench.started) == [1, 2, 3]
    assert sorted(found.ports) == [9000, 9001, 9002]
    assert (found.size, found.alive()) == (3, True)


def test_one_that_ends_is_out_at_once_and_started_again_while_the_others_go_on(
    bench: Bench,
) -> None:
    found = bench.fleet(3)
    bench.gate.clear()
    dead = bench.server(2)
    dead.running = False
    assert sorted({9000, 9001, 9002} - {dead.port}) == sorted(found.ports)
    assert found.alive()
    bench.gate.set()
    eventually(lambda: len(found.ports) == 3)
    assert [n for n, _ in bench.started[3:]] == [2]
    assert dead.port not in found.ports


def test_one_that_hangs_is_out_then_ended_and_started_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    found = bench.fleet(2)
    hung = bench.server(1)
    bench.hanging.add(hung.port)
    eventually(lambda: list(found.ports) == [bench.server(2).port])
    eventually(lambda: not hung.running)
    eventually(lambda: len(found.ports) == 2)
    assert hung.port not in found.ports
    assert "Replica 1 was silent for 0.2 s; it is ended." in caplog.text


def test_one_that_is_well_again_is_asked_again(bench: Bench) -> None:
    found = bench.fleet(2)
    found.patience = Patience(0.01, 0.02, 600.0)
    slow = bench.server(1)
    bench.hanging.add(slow.port)
    eventually(lambda: len(found.ports) == 1)
    bench.hanging.clear()
    eventually(lambda: len(found.ports) == 2)
    assert len(bench.started) == 2
    assert slow.running


def test_where_none_is_well_all_that_run_are_asked(bench: Bench) -> None:
    found = bench.fleet(2)
    found.patience = Patience(0.01, 0.02, 600.0)
    bench.hanging.update(found.ports)
    eventually(lambda: not any(replica.well for replica in found._replicas))
    assert sorted(found.ports) == [9000, 9001]


def test_those_that_come_up_are_served_and_the_others_tried_again(bench: Bench) -> None:
    bench.failing = {2}
    found = bench.fleet(2)
    assert list(found.ports) == [9000]
    bench.failing = set()
    eventually(lambda: len(found.ports) == 2)


def test_where_none_comes_up_its_error_is_raised(bench: Bench) -> None:
    bench.failing = {1, 2}
    with pytest.raises(EngineError, match="no memory for 1"):
        bench.fleet(2)
    assert bench.started == []


def test_a_start_that_is_given_up_is_called_off(bench: Bench) -> None:
    bench.gate.clear()
    bench.started.append((0, FakeServer(1, running=False)))  # so that every start waits
    with pytest.raises(EngineError, match="called off"):
        bench.fleet(2, given_up=lambda: True)


def test_when_all_have_ended_the_supervisor_starts_them(bench: Bench) -> None:
    """Alone none begins again: how often is tried is the supervisor's to say."""
    found = bench.fleet(1)
    bench.server(1).running = False
    eventually(lambda: not found.alive())
    time.sleep(0.2)
    assert (len(bench.started), list(found.ports), found.alive()) == (1, [], False)


def test_the_pauses_grow_up_to_a_minute() -> None:
    assert [pause_after(n) for n in (0, 1, 5, 6, 2000)] == [1, 2, 32, 60, 60]


@pytest.mark.parametrize(
    ("number", "replicas", "expected"),
    [(1, 2, ["0", "2"]), (2, 2, ["1", "3"]), (4, 4, ["3"]), (6, 6, ["1"]), (1, 1, list("0123"))],
)
def test_gpus_are_dealt_out(number: int, replicas: int, expected: list[str]) -> None:
    assert gpus_of(number, replicas, list("0123")) == expected
    assert gpus_of(number, replicas, []) == []
