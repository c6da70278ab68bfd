"""The public port: only what is named and right goes through, and it stays while servers come and go."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest

from evaluation.gates.serving import load
from evaluation.gates.serving.client import PolicyUnavailable, policy_ask, policy_healthy
from evaluation.gates.serving.relay import Relay
from outerloop.settings.env import env_hosts
from tests.evaluation.gates.serving.test_supervisor import FakeServer
from tests.support.silent import silent_server

HELLO: Any = [{"role": "user", "content": "Hello"}]


# The heads of streams of which nothing follows.
DEAD_STREAMS = {"end": b"", "end in chunks": b"Transfer-Encoding: chunked\r\n"}


class Engine(ThreadingHTTPServer):
    """Answers with its own name; `asked` is what reached it, and some contents make it misbehave, or always `fault`."""

    daemon_threads = True
    size = 1  # as one replica
    request_queue_size = 256

    def __init__(self, name: str, fault: str = "") -> None:
        self.name, self.fault = name, fault
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.slow = threading.Event()
        self.slow.set()
        super().__init__(("127.0.0.1", 0), EngineHandler)
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port,)


class EngineHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {}))
        self.reply(200, {"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        said = self.server.fault or body["messages"][-1]["content"]
        if said == "wait":
            self.server.slow.wait(20)
        if said == "break":
            self.reply(500, {"detail": "secret of the engine"})
        elif said == "refuse":
            self.reply(422, {"detail": "not that"})
        elif said in DEAD_STREAMS:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + DEAD_STREAMS[said] + b"\r\n")
            self.close_connection = True
        elif said == "break off":
            piece = {**answer("", body), "choices": [{"index": 0, "delta": {"content": "old"}}]}
            event = f"data: {json.dumps(piece)}\n\n".encode()
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            self.wfile.write(head + b"%x\r\n%s\r\n" % (len(event), event))
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif said == "half a pair":
            self.reply(200, answer("\ud83d", body))
        elif said == "die":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif body["stream"]:
            self.events(body)
        else:
            self.reply(200, answer(self.server.name, body))

    def events(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in (self.server.name, " and", " more"):
            piece = {**answer("", body), "object": "chat.completion.chunk"}
            piece["choices"] = [{"index": 0, "delta": {"content": word}, "finish_reason": None}]
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def reply(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def answer(name: str, body: dict[str, Any]) -> dict[str, Any]:
    text = f"{name} {body.get('seed', '')}".strip()
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "an inner path",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }  # fmt: skip


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay("127.0.0.1", 0, name="policy")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def engines() -> Iterator[tuple[Engine, Engine]]:
    made = Engine("old"), Engine("new")
    yield made
    for engine in made:
        engine.slow.set()
        engine.shutdown()
        engine.server_close()


@pytest.fixture
def engine(relay: Relay, engines: tuple[Engine, Engine]) -> Engine:
    relay.point(engines[0])
    return engines[0]


def client(relay: Relay) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"http://127.0.0.1:{relay.port}/v1", api_key="none", max_retries=0, timeout=20
    )


def asked(
    relay: Relay, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {
        "Content-Type": "application/json",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    connection.request(method, path, content, sent)
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()
    return response.status, document


# ------------------------------------------------------------- with the client in common use


def test_forty_calls_on_pooled_connections_of_which_every_third_fails(
    relay: Relay, engine: Engine
) -> None:
    """An error leaves nothing on the connection that the next call could stumble over."""
    asks, told = client(relay), []
    for number in range(40):
        try:
            if number % 3 == 0:
                asks.chat.completions.create(model="policy", messages=[])
            elif number % 3 == 1:
                asks.chat.completions.create(
                    model="policy", messages=[{"role": "user", "content": "break"}]
                )
            else:
                made = asks.chat.completions.create(model="policy", messages=HELLO)
                told.append(made.choices[0].message.content)
        except openai.BadRequestError as error:
            told.append(error.param)
        except openai.InternalServerError as error:
            told.append(str(error.status_code))
    assert told == (["messages", "502", "old"] * 14)[:40]


def test_a_stream_comes_in_pieces_and_n_gives_as_many(relay: Relay, engine: Engine) -> None:
    asks = client(relay)
    pieces: Any = asks.chat.completions.create(model="policy", messages=HELLO, stream=True)
    assert [p.choices[0].delta.content for p in pieces] == ["old", " and", " more"]
    made = asks.chat.completions.create(model="policy", messages=HELLO, n=3, seed=4)
    assert [(c.index, c.message.content) for c in made.choices] == [
        (0, "old 4"), (1, "old 5"), (2, "old 6"),
    ]  # fmt: skip
    assert made.model == "policy"
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (5, 6)
    assert made.usage.total_tokens == 11


def test_the_model_is_listed_and_another_is_unknown(relay: Relay, engine: Engine) -> None:
    asks = client(relay)
    assert [model.id for model in asks.models.list()] == ["policy"]
    assert asks.models.retrieve("policy").id == "policy"
    with pytest.raises(openai.NotFoundError) as raised:
        asks.chat.completions.create(model="other", messages=HELLO)
    assert raised.value.code == "model_not_found"
    assert engine.asked == []


def test_fifty_at_once_and_a_switch_between_lose_nothing(
    relay: Relay, engines: tuple[Engine, Engine]
) -> None:
    """Each is answered whole by one of the two, and the old one is asked no more once it is drained."""
    old, new = engines
    relay.point(old)
    asks = client(relay)

    def ask(_: int) -> str | None:
        made = asks.chat.completions.create(model="policy", messages=HELLO, n=2)
        (first, second) = made.choices
        assert first.message.content == second.message.content
        return first.message.content

    with ThreadPoolExecutor(50) as pool:
        told = pool.map(ask, range(200))
        time.sleep(0.2)
        relay.point(new)
        assert relay.drain(old, 20) == 0
        old.shutdown()
        old.server_close()
        names = list(told)
    assert len(names) == 200
    assert set(names) <= {"old", "new"}
    assert ask(200) == "new"


def test_a_drain_waits_for_the_answer_under_way(
    relay: Relay, engines: tuple[Engine, Engine]
) -> None:
    old, new = engines
    old.slow.clear()
    relay.point(old)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(
            policy_ask, [{"role": "user", "content": "wait"}], host="127.0.0.1", port=relay.port
        )
        while not old.asked:
            time.sleep(0.01)
        relay.point(new)
        began = time.monotonic()
        assert relay.drain(old, 0.3) == 1
        assert time.monotonic() - began > 0.25
        assert policy_ask(HELLO, host="127.0.0.1", port=relay.port) == "new"
        old.slow.set()
        assert relay.drain(old, 20) == 0
        assert told.result(5) == "old"


# --------------------------------------------------------------------- what goes through


def test_the_engine_is_asked_for_what_was_meant_and_nothing_else(
    relay: Relay, engine: Engine
) -> None:
    body = {
        "model": "policy", "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]},
        ],
        "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": "END", "seed": 3,
        "logprobs": False, "n": 1, "user": "somebody", "response_format": {"type": "text"},
    }  # fmt: skip
    status, _ = asked(relay, "POST", "/v1/chat/completions", body)
    assert status == 200
    assert engine.asked == [("/v1/chat/completions", {
        "model": "policy", "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "A\nB"},
        ],
        "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 3, "stream": False,
    })]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/reset", 404),
        ("POST", "/load_model", 404),
        ("POST", "/v1/responses", 404),
        ("POST", "/v1/completions", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/v1/chat/completions", 404),
        ("GET", "/v1/models/other", 404),
        ("OPTIONS", "/v1/models", 501),
        ("DELETE", "/v1/models/policy", 501),
    ],
)
def test_only_named_routes_are_there(
    relay: Relay, engine: Engine, method: str, path: str, status: int
) -> None:
    found, document = asked(relay, method, path, {} if method == "POST" else None)
    assert found == status
    assert set(document["error"]) == {"message", "type", "param", "code"}
    assert engine.asked == []


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_another_host_is_not_served(relay: Relay, engine: Engine, name: str) -> None:
    body = {"messages": HELLO}
    status, document = asked(relay, "POST", "/v1/chat/completions", body, Host=name)
    assert (status, document["error"]["code"]) == (403, "wrong_host")
    assert engine.asked == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://"])
def test_a_page_of_another_origin_is_not_served(relay: Relay, engine: Engine, origin: str) -> None:
    body = {"messages": HELLO}
    for path in ("/v1/chat/completions", "/reset", "/load_model"):
        status, document = asked(relay, "POST", path, body, Origin=origin)
        assert (status, document["error"]["code"]) == (403, "wrong_origin")
    assert engine.asked == []


@pytest.mark.parametrize(
    ("hosts", "name", "status"),
    [
        ("policy.lab.example", "policy.lab.example:8001", 200),
        ("Policy.Lab.Example", "POLICY.lab.example", 200),
        (".lab.example", "policy.lab.example", 200),
        (".lab.example", "lab.example", 200),
        (".lab.example", "lab.example.evil.example", 403),
        (".lab.example", "evillab.example", 403),
        ("[fd00::1]", "[FD00::1]:8001", 200),
        ("*", "any.example", 200),
        ("*", "", 403),
        ("", "policy.lab.example", 403),
        ("policy.lab.example", "localhost:1", 200),
    ],
)
def test_the_names_of_the_setting_are_served(
    monkeypatch: pytest.MonkeyPatch, hosts: str, name: str, status: int
) -> None:
    """Written as in ALLOWED_HOSTS, for `Host` and `Origin` alike."""
    monkeypatch.setenv("POLICY_SERVER_HOSTS", hosts)
    made = Relay("127.0.0.1", 0, name="policy", hosts=env_hosts("POLICY_SERVER_HOSTS"))
    made.start()
    try:
        assert asked(made, "GET", "/v1/models", Host=name)[0] == status
        assert asked(made, "GET", "/v1/models", Origin=f"https://{name}")[0] == status
    finally:
        made.stop()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_it_listens_on_ipv6(host: str) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("This machine has no IPv6.")
    made = Relay(host, 0, name="policy")
    made.start()
    try:
        connection = http.client.HTTPConnection("::1", made.port, timeout=10)
        connection.request("GET", "/v1/models")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        made.stop()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"[]", {}, 400),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"x" * (5 << 20), {}, 413),
    ],
)
def test_a_body_that_is_none_is_refused(
    relay: Relay, engine: Engine, body: bytes, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
    sent = {"Content-Type": headers.get("Content_Type", "application/json")}
    with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
        connection.request("POST", "/v1/chat/completions", body, sent)
    if status != 413:
        assert connection.getresponse().status == status
    assert engine.asked == []


# -------------------------------------------------------------------- when things go wrong


def test_what_the_engine_says_of_a_failure_stays_inside(relay: Relay, engine: Engine) -> None:
    for said, status in (("break", 502), ("die", 502), ("refuse", 400)):
        body = {"messages": [{"role": "user", "content": said}]}
        found, document = asked(relay, "POST", "/v1/chat/completions", body)
        assert found == status
        assert "secret" not in document["error"]["message"]
    assert "not that" in document["error"]["message"]


@pytest.mark.parametrize("port", [None, 1])
def test_without_a_server_it_says_so(relay: Relay, port: int | None) -> None:
    relay.point(None if port is None else FakeServer(port))
    assert not policy_healthy(host="127.0.0.1", port=relay.port)
    with pytest.raises(PolicyUnavailable, match=r"503.*No policy is served yet"):
        policy_ask(HELLO, host="127.0.0.1", port=relay.port)


def test_an_engine_that_hangs_is_not_healthy_and_is_said_in_time(relay: Relay) -> None:
    with silent_server() as port:
        relay.point(FakeServer(port))
        began = time.monotonic()
        assert asked(relay, "GET", "/health")[0] == 503
        assert time.monotonic() - began < 60


def test_a_policy_server_that_hangs_costs_the_site_a_stated_time() -> None:
    with silent_server() as port:
        began = time.monotonic()
        assert not policy_healthy(host="127.0.0.1", port=port, timeout=0.5)
        with pytest.raises(PolicyUnavailable):
            policy_ask(HELLO, host="127.0.0.1", port=port, timeout=0.5)
        assert time.monotonic() - began < 60


def test_a_taken_port_is_an_error(relay: Relay) -> None:
    with pytest.raises(OSError, match="in use"):
        Relay("127.0.0.1", relay.port, name="policy").start()


@pytest.mark.parametrize("said", DEAD_STREAMS)
def test_a_stream_of_which_nothing_comes_is_an_error(
    relay: Relay, engine: Engine, said: str
) -> None:
    body = {"messages": [{"role": "user", "content": said}], "stream": True}
    status, document = asked(relay, "POST", "/v1/chat/completions", body)
    assert (status, document["error"]["code"]) == (502, "engine_error")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "half \ud83d"}]},
        {"messages": HELLO, "\ud83d": 1},
        {"messages": [{"role": "user", "content": "x", "\udc00": 1}]},
        {"messages": HELLO, "model": "\ud83d"},
    ],
)
def test_half_of_a_surrogate_pair_is_refused(relay: Relay, engine: Engine, body: Any) -> None:
    status, document = asked(relay, "POST", "/v1/chat/completions", body)
    assert (status, document["error"]["code"]) == (400, "invalid_value")
    assert engine.asked == []


def test_half_of_a_surrogate_pair_that_an_engine_writes_is_passed_on(
    relay: Relay, engine: Engine
) -> None:
    body = {"messages": [{"role": "user", "content": "half a pair"}]}
    status, document = asked(relay, "POST", "/v1/chat/completions", body)
    assert (status, document["choices"][0]["message"]["content"]) == (200, "\ud83d")


def test_every_choice_takes_a_place_and_health_takes_none(
    relay: Relay, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "MOST_AT_ONCE", 4)
    wait = {"messages": [{"role": "user", "content": "wait"}], "n": 3}
    engine.slow.clear()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(asked, relay, "POST", "/v1/chat/completions", wait)
        while len(engine.asked) < 3:
            time.sleep(0.01)
        two = {"messages": HELLO, "n": 2}
        status, document = asked(relay, "POST", "/v1/chat/completions", two)
        assert (status, document["error"]["code"]) == (503, "busy")
        monkeypatch.setattr(load, "MOST_AT_ONCE", 3)
        assert asked(relay, "POST", "/v1/chat/completions", {"messages": HELLO})[0] == 503
        assert asked(relay, "GET", "/health")[0] == 200
        engine.slow.set()
        assert under_way.result(5)[0] == 200
