"""The public port: named routes of OpenAI's chat API, read and checked, and nothing else passed on.

A new server is started and asked on a port of its own while the old one still answers; then the
relay is pointed at it. While a canary is under way, a share of the users is answered by its server
(`routes`). A version may have several replicas: the one with the fewest answers under way is asked (`load`),
and another of them where it has gone. Every request is answered by one server that was current when it was
asked, and the old one is ended when its requests are, or when the supervisor waits for them no longer. The
engine itself listens on this machine alone: it also loads and unloads models on request, and checks little
of what it is sent.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.http.request import validate_host

from .chat import ApiError, ChatRequest, chat_request
from .client import CHAT, MOST_TOKENS, NO_CANARY, VERSION
from .feedback import FEEDBACK, Journal, KeptStream, feedback_request
from .forwarding import LOCAL, NO_ANSWER, EngineAway, EngineLost, NobodyThere, completion, stream
from .limits import DEFAULT_TOKENS
from .load import AtReplica, Load, replicas_up
from .routes import Answering, Current, Routes

logger = logging.getLogger(__name__)

LARGEST_BODY = 4 << 20
CLIENT_SECONDS = 60.0
STOP_SECONDS = 0.1  # between two looks whether to stop
SILENT = "No policy is served yet; try again in a moment."


class Relay:
    """Listens on `host`:`port` (0: any free port) in threads of its own.

    `hosts` are the names by which it may be asked, written as in ALLOWED_HOSTS: another `Host`, or a
    page of another origin, is refused, so that no page in somebody's browser reaches it.
    """

    def __init__(self, host: str, port: int, *, name: str, hosts: Sequence[str] = ()) -> None:
        self.host, self.port, self.name = host, port, name
        own = (LOCAL, "localhost", "::1", host)
        self.hosts = [each.strip("[]").lower() for each in (*own, *hosts)]
        self.routes = Routes()
        self.journal: Journal | None = None  # of the line that is served
        self.since = int(time.time())
        self._load = Load()
        self._server: _Server | None = None

    def start(self) -> None:
        """Raises OSError when the port is taken."""
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, args=[STOP_SECONDS], name="relay", daemon=True
        ).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def point(
        self, server: Answering | None, artifact: Path | None = None, version: UUID | None = None
    ) -> None:
        """Send the requests that come from now on to these replicas; None: to nobody."""
        self.routes.point(server, artifact, version)

    def drain(self, server: Answering, seconds: float) -> int:
        """Wait for the answers that these replicas write, so long at most; how many are left then."""
        return self._load.drain(server, seconds)

    def current(self, request: ChatRequest | None = None) -> Current:
        """The server that is current, for this request or for everybody; `ApiError` where there is none."""
        served = self.routes.deployed if request is None else self.routes.server_for(request)
        if served is None:
            raise ApiError(503, SILENT, code="no_policy")
        return served

    def at_work(
        self, request: ChatRequest, *, no_canary: bool, away: Collection[int]
    ) -> AbstractContextManager[AtReplica]:
        """A replica of the server that is current, with the request's answers under way."""
        asked = None if no_canary else request
        return self._load.place(partial(self.current, asked), request.n, away)

    def health(self) -> dict[str, Any]:
        """How many replicas answer, of how many there should be; `ApiError` where none does."""
        deployed, canary = self.current(), self.routes.canary
        document: dict[str, Any] = {"status": "ok", "replicas": replicas_up(deployed.server)}
        if not document["replicas"]["up"]:
            raise ApiError(503, "The engine does not answer.", code="engine_error")
        if canary is not None and canary.server is not None:
            document["canary"] = replicas_up(canary.server.server)
        return document


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        host = relay.host.strip("[]")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, relay.port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = CLIENT_SECONDS
    server: _Server
    told: dict[str, str]

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client went
            self.close_connection = True

    def do_GET(self) -> None:
        self._answered(self._get)

    def do_POST(self) -> None:
        self._answered(self._post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the parser of HTTP refuses, another method among it, in OpenAI's form as well."""
        self.close_connection = True
        self.begun, self.told = False, {}
        self._error(ApiError(code, message or self.responses[code][0]))

    def _answered(self, act: Callable[[], None]) -> None:
        self.begun = False
        self.told = {}
        try:
            self._stranger_refuse()
            act()
        except ApiError as error:
            self._error(error)
        except OSError:
            raise
        except Exception:
            logger.exception("A request to the policy server failed.")
            self._error(ApiError(500, "The server failed on this request."))

    def _stranger_refuse(self) -> None:
        hosts, origin = self.server.relay.hosts, self.headers.get("Origin")
        if not _is_among(f"//{self.headers.get('Host', '')}", hosts):
            self.close_connection = True  # its body is not read
            raise ApiError(403, "The policy server is not asked by this name.", code="wrong_host")
        if origin is not None and not _is_among(origin, hosts):
            self.close_connection = True
            raise ApiError(403, "Pages of other sites may not ask.", code="wrong_origin")

    def _get(self) -> None:
        relay = self.server.relay
        path = urlsplit(self.path).path
        if path == "/health":
            self._json(200, relay.health())
        elif path == "/v1/models":
            self._json(200, {"object": "list", "data": [self._model()]})
        elif path == f"/v1/models/{relay.name}":
            self._json(200, self._model())
        else:
            raise _no_route(path)

    def _post(self) -> None:
        path = urlsplit(self.path).path
        body = self._body()
        if path == FEEDBACK:
            self._feedback(body)
            return
        if path != CHAT:
            raise _no_route(path)
        request = chat_request(body, model=self.server.relay.name)
        no_canary = NO_CANARY in self.headers
        try:
            self._tried(request, no_canary)
        except EngineAway:  # it was changed at this moment, or died: once more, and of no canary
            try:
                time.sleep(0.2)
                self._tried(request, True)
            except EngineAway as error:
                raise ApiError(503, SILENT, code="no_policy") from error

    def _tried(self, request: ChatRequest, no_canary: bool) -> None:
        """By one replica after the other until one is there. What was lost with one is asked once more only:
        a request that ends engines must not end all of them."""
        away: set[int] = set()
        lost = False
        while True:
            try:
                self._chat(request, no_canary, away)
                return
            except EngineLost as error:
                if lost:
                    raise ApiError(502, NO_ANSWER, code="engine_error") from error
                lost = True
            except NobodyThere as error:
                if lost:
                    raise ApiError(502, NO_ANSWER, code="engine_error") from error
                raise
            except EngineAway:
                pass

    def _chat(self, request: ChatRequest, no_canary: bool, away: set[int]) -> None:
        relay = self.server.relay
        with relay.at_work(request, no_canary=no_canary, away=away) as (served, port):
            away.add(port)  # not asked twice
            if served.limits:
                request = served.limits.harmless(request)
            tokens = (
                served.limits.tokens(request)
                if served.limits
                else request.max_tokens or DEFAULT_TOKENS
            )
            self.told = {MOST_TOKENS: str(tokens)}
            if served.version is not None:
                self.told[VERSION] = str(served.version)
            kept = relay.journal.new_id() if relay.journal and request.n == 1 else None
            if request.stream:
                self._stream(AtReplica(served, port), request, tokens, kept)
            else:
                answer = completion(port, request, tokens=tokens, model=relay.name)
                if kept:
                    answer["id"] = kept
                    self._keep(served, kept, request, answer["choices"][0]["message"]["content"])
                self._json(200, answer)

    def _stream(self, at: AtReplica, request: ChatRequest, tokens: int, kept: str | None) -> None:
        pieces = stream(at.port, request, tokens=tokens, model=self.server.relay.name)
        if kept is None:
            self._events(pieces)
        else:
            keep = partial(self._keep, at.served, kept, request)
            self._events(iter(KeptStream(pieces, kept, keep)))

    def _keep(self, served: Current, kept: str, request: ChatRequest, text: str | None) -> None:
        journal = self.server.relay.journal
        if journal is not None and served.version is not None:
            journal.keep(kept, served.version, request.messages, text or "")

    def _feedback(self, body: bytes) -> None:
        signal, journal = feedback_request(body), self.server.relay.journal
        if journal is None:
            raise ApiError(503, SILENT, code="no_policy")
        journal.give(signal)
        document = {"object": "feedback", "completion_id": signal.completion_id}
        self._json(200, document)

    def _body(self) -> bytes:
        """Read whole before anything is answered: what is left would be taken for the next request."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self.close_connection = True
            raise ApiError(411, "Send the body with its Content-Length.")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            raise ApiError(413, f"The body is larger than {LARGEST_BODY >> 20} MiB.")
        body = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            raise ApiError(415, "Send JSON: Content-Type: application/json.")
        return body

    def _model(self) -> dict[str, Any]:
        relay = self.server.relay
        return {
            "id": relay.name,
            "object": "model",
            "created": relay.since,
            "owned_by": "outerloop",
        }

    def _error(self, error: ApiError) -> None:
        self.told = {}
        if self.begun:
            self.close_connection = True
        else:
            self._json(error.status, error.document())

    def _json(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()  # whatever half of a character an engine writes
        self.begun = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self._say()
        if status == 503:
            self.send_header("Retry-After", "5")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _events(self, pieces: Iterator[bytes]) -> None:
        self.begun = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self._say()
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _say(self) -> None:
        """Which version answers, and what it may."""
        for name, value in self.told.items():
            self.send_header(name, value)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)


def _is_among(address: str, hosts: Sequence[str]) -> bool:
    """Whether an address names one of the hosts, which are patterns as in ALLOWED_HOSTS, in lower case."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    return host != "" and validate_host(host, hosts)


def _no_route(path: str) -> ApiError:
    return ApiError(404, f"There is nothing at {path[:100]}.", code="not_found")
