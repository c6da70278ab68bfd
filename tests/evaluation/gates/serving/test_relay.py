"""The public port stays while servers come and go."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from evaluation.gates.serving.client import PolicyUnavailable, policy_ask, policy_healthy
from evaluation.gates.serving.relay import Relay


class EchoServer(ThreadingHTTPServer):
    """Answers with its own name, and with what it was sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(("127.0.0.1", 0), EchoHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class EchoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.name.encode() + b" " + body  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay("127.0.0.1", 0)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def servers() -> Iterator[tuple[EchoServer, EchoServer]]:
    made = EchoServer("old"), EchoServer("new")
    yield made
    for server in made:
        server.shutdown()
        server.server_close()


def post(connection: http.client.HTTPConnection, body: bytes) -> bytes:
    connection.request("POST", "/", body)
    return connection.getresponse().read()


def test_new_connections_go_to_the_new_server_and_old_ones_stay(
    relay: Relay, servers: tuple[EchoServer, EchoServer]
) -> None:
    relay.target = servers[0].port
    kept = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
    assert post(kept, b"1") == b"old 1"
    relay.target = servers[1].port
    fresh = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
    assert post(fresh, b"2") == b"new 2"
    assert post(kept, b"3") == b"old 3"
    kept.close()
    fresh.close()


def test_a_long_body_arrives_whole(relay: Relay, servers: tuple[EchoServer, EchoServer]) -> None:
    relay.target = servers[0].port
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
    body = bytes(range(256)) * 8192  # 2 MiB
    assert post(connection, body) == b"old " + body
    connection.close()


@pytest.mark.parametrize("target", [None, 1])
def test_without_a_server_it_says_so(relay: Relay, target: int | None) -> None:
    relay.target = target
    assert not policy_healthy(host="127.0.0.1", port=relay.port)
    with pytest.raises(PolicyUnavailable, match=r"503.*No policy is served yet"):
        policy_ask([{"role": "user", "content": "Hello"}], host="127.0.0.1", port=relay.port)


def test_a_taken_port_is_an_error(relay: Relay) -> None:
    with pytest.raises(OSError, match="in use"):
        Relay("127.0.0.1", relay.port).start()
