"""A peer that is there and never answers: it takes connections, as a stopped program's kernel does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


@contextmanager
def silent_server(greeting: bytes = b"") -> Iterator[int]:
    """The port of a server on 127.0.0.1 that says `greeting`, and nothing after it."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        Thread(target=_take, args=[listener, greeting, taken], daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.close()
            for each in taken:
                each.close()


def _take(listener: socket.socket, greeting: bytes, taken: list[socket.socket]) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            taken.append(connection)
            connection.sendall(greeting)
