"""The shadow behind the public port: asked after the users, never in their way, and nothing of its words kept."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from evaluation.gates import services
from evaluation.gates.records import ShadowCounts
from evaluation.gates.routing import CanarySplit
from evaluation.gates.serving import shadowing as shadowing_module
from evaluation.gates.serving.chat import ChatRequest
from evaluation.gates.serving.client import NO_CANARY
from evaluation.gates.serving.engine import free_port
from evaluation.gates.serving.relay import Relay
from evaluation.gates.serving.routes import ShadowRoute
from evaluation.gates.serving.shadowing import AnsweredRequest, Shadowing, compared
from tests.evaluation.gates.serving.test_relay import HELLO, Engine, asked
from tests.evaluation.gates.serving.test_supervisor import FakeServer

SHADOW = uuid.UUID(int=7)
CHAT = "/v1/chat/completions"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[ShadowCounts]:
    """What would be counted, in place of the database."""
    found: list[ShadowCounts] = []

    def count(*, shadow_id: uuid.UUID, counts: ShadowCounts) -> None:
        assert shadow_id == SHADOW
        found.append(counts)

    monkeypatch.setattr(services, "shadow_count", count)
    return found


@pytest.fixture
def engines() -> Iterator[tuple[Engine, Engine]]:
    """Of the deployed policy and of the shadow."""
    made = Engine("old"), Engine("unseen")
    yield made
    for engine in made:
        engine.slow.set()
        engine.shutdown()
        engine.server_close()


@pytest.fixture
def relay(engines: tuple[Engine, Engine]) -> Iterator[Relay]:
    made = Relay("127.0.0.1", 0, name="policy")
    made.start()
    made.point(engines[0])
    made.routes.shade(ShadowRoute(SHADOW, 100))
    made.routes.point_beside(engines[1], None, uuid.UUID(int=3))
    made.shadowing = Shadowing(made.routes, name="policy", busy=made.busy)
    made.shadowing.start()
    yield made
    made.stop()


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ask(relay: Relay, said: str = "Hello", **more: Any) -> tuple[int, Any]:
    body = {"messages": [{"role": "user", "content": said}], **more}
    return asked(relay, "POST", CHAT, body)


def test_the_user_has_the_deployed_policy_s_answer_and_the_shadow_is_asked_afterwards(
    relay: Relay, engines: tuple[Engine, Engine], kept: list[ShadowCounts]
) -> None:
    status, answer = ask(relay, seed=3, max_tokens=9)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "old 3")
    until(lambda: kept)
    (counts,) = kept
    assert (counts.answered, counts.failed, counts.dropped) == (1, 0, 0)
    assert (counts.characters, counts.deployed_characters) == (len("unseen 3"), len("old 3"))
    assert counts.seconds > 0
    assert counts.deployed_seconds > 0
    ((_, put),) = engines[1].asked
    assert (put["messages"], put["seed"], put["max_tokens"], put["stream"]) == (HELLO, 3, 9, False)


def test_a_stream_is_compared_too_and_passes_unchanged(
    relay: Relay, engines: tuple[Engine, Engine], kept: list[ShadowCounts]
) -> None:
    import http.client
    import json

    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20)
    body = json.dumps({"messages": HELLO, "stream": True})
    connection.request("POST", CHAT, body, {"Content-Type": "application/json"})
    read = connection.getresponse().read()
    assert b'"old"' in read
    assert b'"id": "x"' in read
    until(lambda: kept)
    assert kept[0].deployed_characters == len("old and more")
    assert engines[1].asked[0][1]["stream"] is False


@pytest.mark.parametrize("fault", ["die", "break"])
def test_a_shadow_that_fails_is_counted_and_harms_nobody(
    relay: Relay, engines: tuple[Engine, Engine], kept: list[ShadowCounts], fault: str
) -> None:
    engines[1].fault = fault
    assert ask(relay)[0] == 200
    until(lambda: kept)
    assert kept == [ShadowCounts(failed=1)]


def test_a_shadow_that_was_ended_meanwhile_has_not_failed(
    relay: Relay, engines: tuple[Engine, Engine], kept: list[ShadowCounts]
) -> None:
    engines[1].fault = "wait"
    engines[1].slow.clear()
    assert ask(relay)[0] == 200
    until(lambda: engines[1].asked)
    relay.routes.shade(None)
    engines[1].fault = "die"
    shadowing = relay.shadowing
    assert shadowing is not None
    route = ShadowRoute(SHADOW, 100, relay.routes.deployed)
    gone = AnsweredRequest(
        route, ChatRequest([{"role": "user", "content": "die"}], {}), 9, "old", 1.0
    )
    assert shadowing._asked(gone) == ShadowCounts(dropped=1)


def test_users_are_never_delayed_and_what_is_too_much_is_dropped(
    relay: Relay, engines: tuple[Engine, Engine], kept: list[ShadowCounts]
) -> None:
    """The shadow answers nothing any more: of twenty requests one is with it, eight wait, the rest is dropped."""
    engines[1].fault = "wait"
    engines[1].slow.clear()
    assert ask(relay)[0] == 200
    until(lambda: engines[1].asked)
    for _ in range(19):
        assert ask(relay)[0] == 200
    assert len(engines[1].asked) == 1
    engines[1].slow.set()
    until(lambda: sum(each.answered + each.dropped for each in kept) == 20)
    assert sum(each.dropped for each in kept) == 19 - shadowing_module.WAITING
    assert sum(each.answered for each in kept) == 1 + shadowing_module.WAITING


def test_it_waits_while_anybody_is_being_answered(
    relay: Relay, engines: tuple[Engine, Engine], kept: list[ShadowCounts]
) -> None:
    deployed, shadow = engines
    deployed.slow.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, relay, "wait")
        until(lambda: deployed.asked)
        assert ask(relay)[0] == 200
        time.sleep(0.3)
        assert shadow.asked == []
        deployed.slow.set()
        assert slow.result(20)[0] == 200
    until(lambda: sum(each.answered for each in kept) == 2)


def test_where_users_are_always_being_answered_it_is_not_asked(
    relay: Relay, kept: list[ShadowCounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert relay.shadowing is not None
    monkeypatch.setattr(shadowing_module, "PATIENCE", 0.1)
    monkeypatch.setattr(relay.shadowing, "busy", lambda: True)
    assert ask(relay)[0] == 200
    until(lambda: kept)
    assert kept == [ShadowCounts(dropped=1)]


def test_what_is_not_drawn_several_choices_and_the_loop_s_own_are_not_put_to_it(
    relay: Relay, engines: tuple[Engine, Engine], kept: list[ShadowCounts]
) -> None:
    assert relay.shadowing is not None
    assert ask(relay, n=2)[0] == 200
    assert asked(relay, "POST", CHAT, {"messages": HELLO}, **{NO_CANARY: "1"})[0] == 200
    assert ask(relay, "break")[0] == 502  # nothing to compare with
    relay.shadowing.drawn = lambda share: share != 100
    assert ask(relay)[0] == 200
    relay.shadowing.drawn = lambda share: True
    assert ask(relay, "the last")[0] == 200
    until(lambda: kept)
    assert [put["messages"][0]["content"] for _, put in engines[1].asked] == ["the last"]


def test_the_share_is_that_of_the_draws(relay: Relay) -> None:
    shadowing = Shadowing(relay.routes, name="policy", busy=lambda: False)
    drawn = sum(shadowing.drawn(25) for _ in range(4000))
    assert 850 < drawn < 1150  # 1000, of which five standard deviations are 137


def test_a_canary_s_answers_are_not_put_to_a_shadow(relay: Relay) -> None:
    """There is room for one beside the deployed policy: routes never hold a server of both."""
    relay.routes.split(CanarySplit(uuid.UUID(int=4), 50))
    relay.routes.shade(None)
    relay.routes.point_beside(FakeServer(free_port()), None, uuid.UUID(int=3))
    assert relay.routes.shadow is None
    assert relay.shadowing is not None
    assert relay.shadowing.draw(ChatRequest(HELLO, {})) is None


def test_refusals_are_read_and_no_text_is_in_what_is_kept() -> None:
    request = ChatRequest(HELLO, {})
    offered = AnsweredRequest(ShadowRoute(SHADOW, 100), request, 9, "Gladly: it is at noon.", 1.5)
    found = compared(offered, "I'm sorry, I can't help with that.", 2.5)
    assert (found.refused, found.deployed_refused) == (1, 0)
    assert (found.refused_alone, found.deployed_refused_alone) == (1, 0)
    assert (found.seconds, found.deployed_seconds) == (2.5, 1.5)
    assert all(isinstance(value, int | float) for value in vars(found).values())
