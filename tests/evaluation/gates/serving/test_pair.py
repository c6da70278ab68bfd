"""A deployed policy and its canary behind one port: what is started when, and never three at a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from annotation.facade import user_hash
from evaluation import facade
from evaluation.gates import services
from evaluation.gates.canary_models import Canary
from evaluation.gates.canary_pages import canary_shown
from evaluation.gates.records import CanaryRecord, ShadowRecord
from evaluation.gates.routing import CanarySplit
from evaluation.gates.serving.chat import ChatRequest
from evaluation.gates.serving.engine import EngineError
from evaluation.gates.serving.pair import ServingPair
from evaluation.gates.serving.relay import Relay
from evaluation.gates.serving.routes import ShadowRoute
from evaluation.gates.shadow_models import Shadow
from tests.evaluation.gates.serving.test_supervisor import FakeServer
from tests.evaluation.gates.world import LineWorld, policy_create
from tests.support.people import person_create
from web.models import Notice

USERS = [f"user {n}" for n in range(60)]


@dataclass
class Bench:
    """A pair on fake servers behind a relay that nobody listens at, with a clock by hand."""

    world: LineWorld
    overlap: bool = True
    servers: list[FakeServer] = field(default_factory=list)
    started: list[Path] = field(default_factory=list)
    most: int = 0
    failing: bool = False
    fault: OSError | None = None
    now: float = 0.0

    def __post_init__(self) -> None:
        self.relay = Relay("127.0.0.1", 0, name="policy")
        self.pair = ServingPair(
            self.world.line, self.start, self.relay, overlap=self.overlap, clock=lambda: self.now
        )

    def start(self, artifact: Path, given_up: Callable[[], bool]) -> FakeServer:
        self.started.append(artifact)
        if self.fault is not None:
            raise self.fault
        if self.failing or given_up():
            raise EngineError("The server ended with status 1. Its last lines:\nno memory")
        self.servers.append(FakeServer(port=9000 + len(self.servers)))
        self.most = max(self.most, sum(server.running for server in self.servers))
        return self.servers[-1]

    def step(self, seconds: float = 1.0, times: int = 1) -> None:
        for _ in range(times):
            self.now += seconds
            self.pair.step()

    def answered(self) -> dict[str, uuid.UUID | None]:
        """Which version answers each user."""
        found = {}
        for user in USERS:
            server = self.relay.routes.server_for(ChatRequest([], {}, user=user))
            found[user] = server.version if server else None
        return found


def canary_of(world: LineWorld, share: int = 50) -> CanaryRecord:
    world.deploy_first()
    world.decide()
    return facade.canary_start(
        line_id=world.line, version_id=world.candidate.id, round_id=world.round, share=share,
        actor="round",
    )  # fmt: skip


def expected(world: LineWorld, canary: CanaryRecord) -> dict[str, uuid.UUID]:
    split = CanarySplit(canary.id, canary.share)
    return {
        user: world.candidate.id if split.takes(user_hash(user)) else world.incumbent.id
        for user in USERS
    }


def test_both_are_served_the_deployed_policy_first(world: LineWorld) -> None:
    canary, bench = canary_of(world), Bench(world)
    bench.step()
    assert bench.started == [world.incumbent.path]
    assert set(bench.answered().values()) == {world.incumbent.id}
    bench.step()
    assert bench.started == [world.incumbent.path, world.candidate.path]
    assert bench.answered() == expected(world, canary)
    assert set(bench.answered().values()) == {world.incumbent.id, world.candidate.id}
    assert Canary.objects.get().served_at is not None


def test_a_new_policy_server_routes_as_the_one_before(world: LineWorld) -> None:
    canary, first, second = canary_of(world), Bench(world), Bench(world)
    first.step(times=3)
    first.pair.stop()
    assert not any(server.running for server in first.servers)
    second.step(times=3)
    assert second.answered() == expected(world, canary)


def test_a_canary_whose_server_dies_leaves_its_users_to_the_other_until_it_is_back(
    world: LineWorld,
) -> None:
    canary, bench = canary_of(world), Bench(world)
    bench.step(times=2)
    bench.servers[1].running = False
    engineer = person_create("engineer", "engineer", line=world.line)
    bench.step()
    assert set(bench.answered().values()) == {world.incumbent.id}
    row = Canary.objects.get()
    assert (row.crashes, row.served_error.splitlines()[-1]) == (1, "no memory")
    shown = canary_shown(world.line)
    assert shown is not None
    assert shown.state == "failing"
    bench.step(2)
    assert bench.answered() == expected(world, canary)
    row.refresh_from_db()
    assert (row.crashes, row.served_error) == (1, "")
    assert row.crashed_at is not None
    bench.servers[-1].running = False
    bench.step()
    assert Canary.objects.get().crashes == 2
    (notice,) = Notice.objects.filter(user=engineer)
    assert "The canary is away: Its server ended by itself (SIGKILL)" in notice.text


def test_a_canary_for_which_the_disk_has_no_room_leaves_the_deployed_policy_alone(
    world: LineWorld,
) -> None:
    canary_of(world)
    bench = Bench(world)
    bench.step()
    bench.fault = OSError(28, "No space left on device")
    bench.step(times=3)
    assert set(bench.answered().values()) == {world.incumbent.id}
    assert "No space left on device" in Canary.objects.get().served_error


def test_the_deployed_policy_s_server_dies_and_the_canary_answers_its_own_users_only(
    world: LineWorld,
) -> None:
    canary, bench = canary_of(world), Bench(world)
    bench.step(times=2)
    bench.servers[0].running = False
    bench.step()
    right = expected(world, canary)
    assert bench.answered() == {u: v if v == world.candidate.id else None for u, v in right.items()}
    bench.step(2)
    assert bench.answered() == right
    assert bench.most == 2


def test_a_canary_that_is_taken_back_leaves(world: LineWorld) -> None:
    canary, bench = canary_of(world), Bench(world)
    bench.step(times=2)
    services.canary_take_back(line_id=world.line, canary_id=canary.id, actor="ada")
    bench.step()
    assert set(bench.answered().values()) == {world.incumbent.id}
    assert [server.running for server in bench.servers] == [True, False]


def test_a_widened_canary_goes_on_with_the_server_that_it_has(world: LineWorld) -> None:
    canary_of(world)
    bench = Bench(world)
    bench.step(times=2)
    world.deploy()  # what widening does
    assert Canary.objects.get().outcome == "widened"
    bench.step()
    assert set(bench.answered().values()) == {world.candidate.id}
    assert [server.running for server in bench.servers] == [False, True]
    bench.step(times=3)
    assert len(bench.started) == 2
    current = facade.deployment_current(world.line)
    assert current is not None
    assert current.served_at is not None
    bench.pair.stop()
    assert not bench.servers[1].running


def test_a_rollback_waits_for_the_canary_to_leave_so_that_no_third_model_is_loaded(
    world: LineWorld,
) -> None:
    first = world.incumbent
    world.deploy_first()
    world.decide()
    world.deploy()
    world.incumbent, world.candidate = world.candidate, policy_create(world.line, world.folder, "3")
    world.round = uuid.uuid4()
    world.decide(number=2)
    facade.canary_start(
        line_id=world.line, version_id=world.candidate.id, round_id=world.round, share=10, actor="x"
    )
    bench = Bench(world)
    bench.step(times=2)
    services.rollback(line_id=world.line, to_version=first.id, actor="ada", reason="Wrong words.")
    bench.step(times=3)
    assert set(bench.answered().values()) == {first.id}
    assert bench.most == 2
    assert [server.running for server in bench.servers] == [False, False, True]


def test_a_canary_that_cannot_be_served_is_told_of_once_and_tried_again(world: LineWorld) -> None:
    person_create("lead", "lead", line=world.line)
    canary, bench = canary_of(world), Bench(world)
    bench.step()
    bench.failing = True
    bench.step(times=8)
    assert "no memory" in Canary.objects.get().served_error
    assert set(bench.answered().values()) == {world.incumbent.id}
    assert "The deployed version answers its users" in Notice.objects.get().text
    bench.failing = False
    bench.step(60)
    assert Canary.objects.get().served_error == ""
    assert bench.answered() == expected(world, canary)


def test_where_memory_holds_one_model_a_canary_is_not_started(world: LineWorld) -> None:
    canary_of(world)
    bench = Bench(world, overlap=False)
    bench.step(times=3)
    assert bench.started == [world.incumbent.path]
    assert "--no-overlap" in Canary.objects.get().served_error


def shadow_of(world: LineWorld, share: int = 100) -> ShadowRecord:
    world.deploy_first()
    world.decide()
    return services.shadow_start(
        line_id=world.line, version_id=world.candidate.id, share=share, actor="ada"
    )


def test_a_shadow_is_served_beside_and_answers_no_user(world: LineWorld) -> None:
    shadow, bench = shadow_of(world), Bench(world)
    bench.step()
    assert bench.relay.routes.shadow == ShadowRoute(shadow.id, 100)
    bench.step()
    assert bench.started == [world.incumbent.path, world.candidate.path]
    assert set(bench.answered().values()) == {world.incumbent.id}
    route = bench.relay.routes.shadow
    assert route is not None
    assert route.server is not None
    assert route.server.server is bench.servers[1]
    assert Shadow.objects.get().served_at is not None
    bench.servers[1].running = False
    bench.step()
    assert bench.relay.routes.shadow == ShadowRoute(shadow.id, 100)
    assert "SIGKILL" in Shadow.objects.get().served_error
    bench.step(2)
    assert Shadow.objects.get().served_error == ""


def test_a_shadow_that_ends_leaves(world: LineWorld) -> None:
    shadow, bench = shadow_of(world), Bench(world)
    bench.step(times=2)
    services.shadow_stop(line_id=world.line, shadow_id=shadow.id, actor="ada")
    bench.step()
    assert bench.relay.routes.shadow is None
    assert [server.running for server in bench.servers] == [True, False]


def test_a_canary_takes_the_place_of_a_shadow_and_never_is_there_a_third_model(
    world: LineWorld,
) -> None:
    shadow_of(world)
    bench = Bench(world)
    bench.step(times=2)
    canary = facade.canary_start(
        line_id=world.line, version_id=world.candidate.id, round_id=world.round, share=50,
        actor="round",
    )  # fmt: skip
    bench.step(times=3)
    assert bench.answered() == expected(world, canary)
    assert bench.relay.routes.shadow is None
    assert bench.most == 2


def test_a_shadow_that_is_deployed_goes_on_with_the_server_that_it_has(world: LineWorld) -> None:
    shadow_of(world)
    bench = Bench(world)
    bench.step(times=2)
    world.deploy()
    assert Shadow.objects.get().ended_at is not None
    bench.step()
    assert set(bench.answered().values()) == {world.candidate.id}
    assert [server.running for server in bench.servers] == [False, True]
    assert bench.relay.routes.shadow is None


def test_where_memory_holds_one_model_no_shadow_is_served(world: LineWorld) -> None:
    shadow_of(world)
    bench = Bench(world, overlap=False)
    bench.step(times=3)
    assert len(bench.started) == 1
    assert "holds one model" in Shadow.objects.get().served_error
