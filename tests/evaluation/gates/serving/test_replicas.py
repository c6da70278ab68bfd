"""Several replicas behind the public port: how requests are spread, and what is lost when one goes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest

from annotation.facade import user_hash
from evaluation.gates.routing import CanarySplit
from evaluation.gates.serving import fleet
from evaluation.gates.serving.client import VERSION, ReplicasUp, policy_ask, policy_replicas
from evaluation.gates.serving.engine import free_port
from evaluation.gates.serving.fleet import Fleet, Patience
from evaluation.gates.serving.relay import Relay
from tests.evaluation.gates.serving.test_relay import HELLO, Engine, asked, client

OLD, NEW, CANARY = (uuid.UUID(int=n) for n in (1, 2, 3))
WAIT: Any = [{"role": "user", "content": "wait"}]


class Killable(Engine):
    """An engine that can be killed as a process is: its port is shut and every connection breaks."""

    def __init__(self, name: str) -> None:
        self.open: set[Any] = set()
        self.dead = False
        super().__init__(name)

    def process_request(self, request: Any, address: Any) -> None:
        self.open.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def alive(self) -> bool:
        return not self.dead

    def last_words(self) -> str:
        return f"{self.name} was killed."

    def stop(self) -> None:
        if self.dead:
            return
        self.dead = True
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.slow.set()


@dataclass
class Served:
    """Fleets of scripted engines; each answers with the name of its version."""

    engines: list[Killable] = field(default_factory=list)
    fleets: list[Fleet] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    slow: bool = False

    def fleet(self, name: str, size: int) -> Fleet:
        def start(number: int, cancelled: Callable[[], bool]) -> Killable:
            engine = Killable(name)
            if self.slow:
                engine.slow.clear()
            with self.lock:
                self.engines.append(engine)
            return engine

        self.fleets.append(Fleet(start, size, patience=Patience(0.02, 0.1, 20.0)))
        return self.fleets[-1].begin()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(fleet, "BACKOFF_FIRST", 0.02)
    made = Served()
    yield made
    for each in made.fleets:
        each.stop()


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay("127.0.0.1", 0, name="policy")
    made.start()
    yield made
    made.stop()


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def chats(engine: Engine) -> int:
    return sum(path == "/v1/chat/completions" for path, _ in engine.asked)


@pytest.mark.parametrize("stream", [False, True])
def test_fifty_at_once_one_killed_and_a_switch_between_lose_nothing(
    relay: Relay, served: Served, stream: bool
) -> None:
    """Each is answered whole, by the version that its header names; the killed one is there again."""
    old = served.fleet("old", 3)
    relay.point(old, version=OLD)
    asks = client(relay)

    def ask(_: int) -> tuple[str, str | None]:
        chat: Any = asks.chat.completions.with_raw_response
        if stream:
            raw = chat.create(model="policy", messages=HELLO, stream=True)
            pieces: Any = raw.parse()
            return "".join(p.choices[0].delta.content for p in pieces), raw.headers.get(VERSION)
        raw = chat.create(model="policy", messages=HELLO, n=2)
        (first, second) = raw.parse().choices
        assert first.message.content == second.message.content
        return str(first.message.content), raw.headers.get(VERSION)

    with ThreadPoolExecutor(50) as pool:
        told = pool.map(ask, range(300))
        eventually(lambda: chats(served.engines[0]) > 10)
        served.engines[0].stop()
        eventually(lambda: len(old.ports) == 3)
        new = served.fleet("new", 3)
        relay.point(new, version=NEW)
        assert relay.drain(old, 20) == 0
        old.stop()
        answers = list(told)
    rest = " and more" if stream else ""
    assert len(answers) == 300
    assert set(answers) <= {("old" + rest, str(OLD)), ("new" + rest, str(NEW))}
    assert ask(0) == ("new" + rest, str(NEW))


def test_answers_that_are_under_way_at_a_killed_one_are_written_by_another(
    relay: Relay, served: Served
) -> None:
    served.slow = True
    relay.point(served.fleet("old", 2), version=OLD)
    first, second = served.engines
    with ThreadPoolExecutor(10) as pool:
        told = [
            pool.submit(asked, relay, "POST", "/v1/chat/completions", {"messages": WAIT})
            for _ in range(10)
        ]
        eventually(lambda: chats(first) == chats(second) == 5)  # the least busy is asked
        first.stop()
        eventually(lambda: chats(second) + sum(chats(e) for e in served.engines[2:]) == 10)
        for engine in served.engines:
            engine.slow.set()
        answers = [each.result(20) for each in told]
    assert [status for status, _ in answers] == [200] * 10


def test_a_request_that_ends_engines_ends_no_more_than_two(relay: Relay, served: Served) -> None:
    relay.point(served.fleet("old", 3))
    body = {"messages": [{"role": "user", "content": "die"}]}
    status, document = asked(relay, "POST", "/v1/chat/completions", body)
    assert (status, document["error"]["code"]) == (502, "engine_error")
    assert sum(chats(engine) for engine in served.engines) == 2


@pytest.mark.django_db
def test_nor_does_one_of_a_canary_s_user(relay: Relay, served: Served) -> None:
    """One of the canary's, and of the deployed policy's the one that answers in its place."""
    relay.point(served.fleet("old", 2), version=OLD)
    relay.routes.split(CanarySplit(uuid.UUID(int=4), 100))
    relay.routes.point_beside(served.fleet("canary", 2), None, CANARY)
    body = {"messages": [{"role": "user", "content": "die"}], "user": "ann"}
    status, document = asked(relay, "POST", "/v1/chat/completions", body)
    assert (status, document["error"]["code"]) == (502, "engine_error")
    died = [engine.name for engine in served.engines if chats(engine)]
    assert sorted(died) == ["canary", "old"]


def test_a_stream_that_has_begun_is_not_begun_again(relay: Relay, served: Served) -> None:
    """What was passed on was of one server; that it broke off is said in the stream."""
    relay.point(served.fleet("old", 2))
    body: Any = {"messages": [{"role": "user", "content": "break off"}], "stream": True}
    with pytest.raises(openai.APIError, match="ended in the middle"):
        list(client(relay).chat.completions.create(model="policy", **body))
    assert sum(chats(engine) for engine in served.engines) == 1


@dataclass
class Fixed:
    """Replicas at ports that do not change, there or not."""

    ports: tuple[int, ...]
    size: int = 2


def test_where_one_does_not_listen_the_others_are_asked(relay: Relay, served: Served) -> None:
    (port,) = served.fleet("old", 1).ports
    relay.point(Fixed((free_port(), free_port(), port), 3))
    for _ in range(9):
        assert policy_ask(HELLO, host="127.0.0.1", port=relay.port) == "old"


def test_at_rest_each_is_asked_in_turn(relay: Relay, served: Served) -> None:
    relay.point(served.fleet("old", 3))
    for _ in range(9):
        asked(relay, "POST", "/v1/chat/completions", {"messages": HELLO})
    assert [chats(engine) for engine in served.engines] == [3, 3, 3]


def test_health_says_how_many_of_how_many_are_up(relay: Relay, served: Served) -> None:
    replicas = served.fleet("old", 3)
    relay.point(replicas)
    assert asked(relay, "GET", "/health") == (
        200, {"status": "ok", "replicas": {"up": 3, "of": 3}},
    )  # fmt: skip
    relay.point(Fixed((*replicas.ports[:2], free_port()), 3))
    relay.routes.split(CanarySplit(uuid.UUID(int=4), 50))
    relay.routes.point_beside(Fixed((replicas.ports[0],)), None, CANARY)
    assert asked(relay, "GET", "/health")[1] == {
        "status": "ok", "replicas": {"up": 2, "of": 3}, "canary": {"up": 1, "of": 2},
    }  # fmt: skip
    where: Any = {"host": "127.0.0.1", "port": relay.port}
    assert policy_replicas(**where) == ReplicasUp(2, 3)
    relay.point(Fixed((free_port(),), 3))
    assert asked(relay, "GET", "/health")[0] == 503
    assert policy_replicas(**where) is None


@pytest.mark.django_db
def test_each_user_keeps_to_the_canary_s_replicas_or_the_others_whichever_dies(
    relay: Relay, served: Served
) -> None:
    split = CanarySplit(uuid.UUID(int=4), 50)
    relay.point(served.fleet("old", 2), version=OLD)
    relay.routes.split(split)
    relay.routes.point_beside(served.fleet("canary", 2), None, CANARY)
    users = [f"user {n}" for n in range(30)]

    def told(user: str) -> str:
        _, document = asked(
            relay, "POST", "/v1/chat/completions", {"messages": HELLO, "user": user}
        )
        return str(document["choices"][0]["message"]["content"])

    right = {user: "canary" if split.takes(user_hash(user)) else "old" for user in users}
    assert {user: told(user) for user in users} == right
    assert set(right.values()) == {"old", "canary"}
    served.engines[0].stop()
    served.engines[2].stop()
    assert {user: told(user) for user in users} == right
