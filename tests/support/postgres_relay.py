"""A way to PostgreSQL that falls silent when told to: bytes are held back, connections stay open."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread


class SilentWay:
    def __init__(self, target: tuple[str, int] | str) -> None:
        self.target = target
        self.open = Event()
        self.open.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = self._far()
                for source, sink in ((near, far), (far, near)):
                    Thread(target=self._pass, args=[source, sink], daemon=True).start()

    def _far(self) -> socket.socket:
        if isinstance(self.target, tuple):
            return socket.create_connection(self.target)
        made = socket.socket(socket.AF_UNIX)
        made.connect(self.target)
        return made

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                self.open.wait()
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def silent_way(target: tuple[str, int] | str) -> Iterator[SilentWay]:
    way = SilentWay(target)
    try:
        yield way
    finally:
        way.open.set()
        way.listener.close()
