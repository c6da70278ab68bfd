"""Receivers of requests on 127.0.0.1: they write down what comes, and answer as a test tells them to."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@contextmanager
def answering(server: ThreadingHTTPServer) -> Iterator[None]:
    """The server answers in a thread of its own meanwhile."""
    thread = Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`status` of the next answers, after `delay` seconds, with `location`, `retry_after` and `says`."""

    port: int = 0
    status: int = 204
    delay: float = 0.0
    location: str = ""
    retry_after: str = ""
    says: bytes = b""
    received: list[Received] = field(default_factory=list)
    ask: Callable[[], None] = lambda: None

    def url(self, path: str = "/hook", *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@contextmanager
def receiver(certificate: tuple[str, str] | None = None, **answer: Any) -> Iterator[Receiver]:
    """With a certificate (its file, its key's file) it speaks TLS."""
    told = Receiver(**answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names = {name.lower(): value for name, value in self.headers.items()}
            told.received.append(Received(self.path, names, body))
            told.ask()
            time.sleep(told.delay)
            self.send_response(told.status)
            if told.location:
                self.send_header("Location", told.location)
            if told.retry_after:
                self.send_header("Retry-After", told.retry_after)
            self.send_header("Content-Length", str(len(told.says)))
            self.end_headers()
            self.wfile.write(told.says)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        told.port = server.server_address[1]
        with answering(server):
            yield told
