"""The public port: passes every connection on to the server that is current.

A new server is started and asked on a port of its own while the old one still answers; then the
relay is pointed at it. Open connections stay with the server they began with. A relay of bytes
needs to know nothing of the protocol; only where there is no server does it speak HTTP itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

_CHUNK = 1 << 16
_SENTENCE = b'{"error": {"message": "No policy is served yet; try again in a moment."}}'
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_SENTENCE), _SENTENCE)
)


class Relay:
    """Listens on `host`:`port` (0: any free port) in a thread of its own; `target` is a local port."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.target: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Raises OSError when the port is taken."""
        self._thread.start()
        try:
            self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except OSError:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, self.host, self.port)

    async def _accept(
        self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter
    ) -> None:
        with contextlib.closing(client_out):
            try:
                if self.target is None:
                    raise ConnectionRefusedError
                server_in, server_out = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                await _refuse(client_in, client_out)
                return
            with contextlib.closing(server_out):
                up = asyncio.create_task(_pump(client_in, server_out))
                await _pump(server_in, client_out)  # the server closes last
                up.cancel()


async def _refuse(client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        await asyncio.wait_for(client_in.read(_CHUNK), 5)  # a reset would swallow the answer
        client_out.write(_UNAVAILABLE)
        await client_out.drain()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
