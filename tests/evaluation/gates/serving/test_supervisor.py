"""What the supervisor does when the pointer moves, a start fails, a server ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from evaluation import facade
from evaluation.gates import services
from evaluation.gates.services import rollback
from evaluation.gates.serving.engine import STOP_SECONDS, EngineError
from evaluation.gates.serving.supervisor import Supervisor
from outerloop.processes.supervising import GRACE_SECONDS
from tests.evaluation.gates.world import LineWorld, deployment_get
from tests.support.people import person_create
from training import facade as training
from web.models import Notice


@dataclass
class FakeServer:
    port: int
    running: bool = True
    size: int = 1

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port,) if self.running else ()

    def alive(self) -> bool:
        return self.running

    def stop(self) -> None:
        self.running = False

    def last_words(self) -> str:
        return "Its server ended by itself (SIGKILL) and is started again.\nno memory"


@dataclass
class Bench:
    """A supervisor on fake servers, a public port that only remembers, and a clock by hand."""

    world: LineWorld
    overlap: bool = True
    started: list[Path] = field(default_factory=list)
    servers: list[FakeServer] = field(default_factory=list)
    failing: bool = False
    target: int | None = None
    now: float = 0.0
    running_at_start: list[int] = field(default_factory=list)
    drained: list[tuple[int, bool]] = field(default_factory=list)
    under_way: int = 0
    waited: float = 0.0

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(
            self.world.line, self.start, self, overlap=self.overlap, clock=lambda: self.now
        )

    def start(self, artifact: Path) -> FakeServer:
        self.started.append(artifact)
        self.running_at_start.append(sum(server.running for server in self.servers))
        if self.failing:
            raise EngineError("The server ended with status 1. Its last lines:\nno memory")
        self.servers.append(FakeServer(port=9000 + len(self.servers)))
        return self.servers[-1]

    def point(self, server: Any, artifact: Path | None = None, version: object = None) -> None:
        self.target = server.port if server else None
        assert (artifact is None) == (server is None)

    def drain(self, server: Any, seconds: float) -> int:
        """Remember whether that server still ran, and was no longer asked."""
        self.drained.append((server.port, server.running and self.target != server.port))
        self.waited += seconds
        return self.under_way

    def step_at(self, now: float) -> int | None:
        """One step at a time of the clock; returns where the public port then leads."""
        self.now = now
        self.supervisor.step()
        return self.target


def promote(world: LineWorld) -> None:
    world.decide()
    world.deploy()


def test_without_a_deployment_nothing_is_started(world: LineWorld) -> None:
    bench = Bench(world)
    bench.step_at(0)
    assert (bench.started, bench.target) == ([], None)


def test_a_deployment_counts_as_served_once_its_server_has_answered(world: LineWorld) -> None:
    first = world.deploy_first()
    assert first.served_at is None
    bench = Bench(world)
    bench.step_at(0)
    assert deployment_get(first.id).served_at is not None
    assert bench.started == [world.incumbent.path]
    assert bench.target == 9000
    bench.step_at(1)
    assert len(bench.started) == 1


def test_a_switch_starts_the_new_server_before_the_old_one_goes(world: LineWorld) -> None:
    world.deploy_first()
    bench = Bench(world)
    bench.step_at(0)
    promote(world)
    bench.step_at(1)
    assert bench.started[-1] == world.candidate.path
    assert bench.running_at_start == [0, 1]
    assert [server.running for server in bench.servers] == [False, True]
    assert bench.target == 9001
    current = facade.deployment_current(world.line)
    assert current is not None
    assert current.served_at is not None


def test_a_database_that_is_gone_after_a_switch_leaves_one_model_in_memory(
    world: LineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy_first()
    bench = Bench(world)
    bench.step_at(0)
    promote(world)
    mark = services.deployment_mark_served

    def gone(deployment_id: UUID) -> None:
        monkeypatch.setattr(services, "deployment_mark_served", mark)
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(services, "deployment_mark_served", gone)
    with pytest.raises(OperationalError):
        bench.step_at(1)
    assert [server.running for server in bench.servers] == [False, True]
    assert bench.drained == [(9000, True)]
    assert bench.step_at(2) == 9001
    current = facade.deployment_current(world.line)
    assert current is not None
    assert current.served_at is not None


def test_without_overlap_the_old_server_goes_first(world: LineWorld) -> None:
    world.deploy_first()
    bench = Bench(world, overlap=False)
    bench.step_at(0)
    promote(world)
    bench.step_at(1)
    assert bench.running_at_start == [0, 0]


def test_a_version_that_cannot_be_served_leaves_the_old_one_answering(world: LineWorld) -> None:
    lead = person_create("lead-person", "lead", line=world.line)
    person_create("an-annotator", "annotator", line=world.line)
    world.deploy_first()
    bench = Bench(world)
    bench.step_at(0)
    promote(world)
    bench.failing = True
    for now in (1, 1.5, 2.1, 2.5, 4.2):  # tried at 1, after 1 s, after 2 more
        bench.step_at(now)
    assert len(bench.started) == 1 + 3
    assert (bench.target, bench.servers[0].running) == (9000, True)
    current = facade.deployment_current(world.line)
    assert current is not None
    assert (current.served_at, "no memory" in current.served_error) == (None, True)
    (notice,) = Notice.objects.all()
    assert notice.user == lead
    assert "The version before still answers" in notice.text


def test_it_serves_again_when_the_cause_is_gone(world: LineWorld) -> None:
    first = world.deploy_first()
    bench = Bench(world, failing=True)
    bench.step_at(0)
    assert deployment_get(first.id).served_error
    bench.failing = False
    bench.step_at(2)
    served = deployment_get(first.id)
    assert (served.served_error, served.served_at is not None) == ("", True)


def test_a_new_deployment_does_not_wait_for_the_last_ones_backoff(world: LineWorld) -> None:
    world.deploy_first()
    bench = Bench(world, failing=True)
    for now in (0, 1, 3, 7):
        bench.step_at(now)
    promote(world)
    bench.failing = False
    bench.step_at(7.1)
    assert bench.target == 9000
    assert bench.started[-1] == world.candidate.path


def test_a_server_that_ends_by_itself_is_started_again(world: LineWorld) -> None:
    world.deploy_first()
    bench = Bench(world)
    bench.step_at(0)
    bench.servers[0].running = False
    assert bench.step_at(100) is None  # a moment's pause, then again
    assert bench.step_at(101.1) == 9001
    bench.servers[1].running = False
    assert [bench.step_at(now) for now in (102, 103.1)] == [None, None]  # now twice as long
    assert bench.step_at(104.1) == 9002


def test_damaged_files_are_not_served(world: LineWorld) -> None:
    first = world.deploy_first()
    (world.incumbent.path / "model.safetensors").write_bytes(b"tampered")
    bench = Bench(world)
    bench.step_at(0)
    assert bench.started == []
    assert "damaged" in deployment_get(first.id).served_error


def test_a_rollback_is_served_like_any_switch(world: LineWorld) -> None:
    world.deploy_first()
    promote(world)
    bench = Bench(world)
    bench.step_at(0)
    rollback(
        line_id=world.line, to_version=world.incumbent.id, actor="ada", reason="Wrong language."
    )
    bench.step_at(1)
    assert bench.started == [world.candidate.path, world.incumbent.path]


def test_stopping_stops_the_server(world: LineWorld) -> None:
    world.deploy_first()
    bench = Bench(world)
    bench.step_at(0)
    bench.supervisor.stop()
    assert (bench.target, bench.servers[0].running) == (None, False)


@pytest.mark.parametrize("overlap", [True, False])
def test_an_old_server_ends_its_answers_while_the_new_one_is_looked_after(
    world: LineWorld, overlap: bool
) -> None:
    world.deploy_first()
    bench = Bench(world, overlap=overlap, under_way=3)
    bench.step_at(0)
    promote(world)
    assert bench.step_at(1) == (9001 if overlap else None)
    bench.step_at(60)
    assert bench.servers[0].running
    bench.under_way = 0
    assert bench.step_at(60.5) == 9001
    assert [server.running for server in bench.servers] == [False, True]
    assert bench.waited == 0


def test_what_is_cut_after_a_minute_is_logged(
    world: LineWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.deploy_first()
    bench = Bench(world, under_way=3)
    for now in (0, 1):
        bench.step_at(now)
    promote(world)
    bench.step_at(2)
    bench.step_at(61.9)
    assert [server.running for server in bench.servers] == [True, True]
    assert "cut" not in caplog.text
    bench.step_at(62)
    assert [server.running for server in bench.servers] == [False, True]
    assert "had not ended its answers: 3 are cut" in caplog.text


def test_a_third_server_waits_until_the_first_is_gone(world: LineWorld) -> None:
    world.deploy_first()
    bench = Bench(world, under_way=1)
    bench.step_at(0)
    promote(world)
    bench.step_at(1)
    rollback(
        line_id=world.line, to_version=world.incumbent.id, actor="ada", reason="Wrong language."
    )
    assert bench.step_at(2) == 9001
    assert bench.step_at(61) == 9002
    assert bench.running_at_start == [0, 1, 1]


def test_stopping_takes_less_than_any_supervisor_gives(
    world: LineWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """A supervisor kills what outlasts it: the engine would go on without anybody to end it in order."""
    world.deploy_first()
    bench = Bench(world, under_way=2)
    bench.step_at(0)
    bench.supervisor.stop()
    assert not bench.servers[0].running
    assert "2 are cut" in caplog.text
    assert bench.waited + STOP_SECONDS < GRACE_SECONDS


def test_the_files_of_a_model_are_held_from_before_its_server_starts_until_it_has_ended(
    world: LineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    @dataclass
    class Files:
        path: Path

        def release(self) -> None:
            said.append(f"released {self.path.name}, {bench.servers[-1].running}")

    def hold(version: UUID) -> Files:
        said.append("held")
        return Files(training.model_version_get(version).path)

    bench = Bench(world, failing=True)
    monkeypatch.setattr(training, "model_version_hold", hold)
    bench.servers.append(FakeServer(port=1))
    world.deploy_first()
    bench.step_at(0)
    name = world.incumbent.path.name
    assert said == ["held", f"released {name}, True"]  # none started
    bench.failing = False
    bench.step_at(100)
    assert said[2:] == ["held"]
    bench.supervisor.stop()
    assert said[3:] == [f"released {name}, False"]
