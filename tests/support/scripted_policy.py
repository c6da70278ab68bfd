"""A policy server that says what it is told to: a scripted engine behind the product's own relay.

`script` gets the messages and the seed, and returns the words of the answer; `said` is what it was asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from evaluation.gates.serving.relay import Relay

Script = Callable[[list[dict[str, str]], int], Sequence[str]]
LOCAL = "127.0.0.1"


class ScriptedEngine(ThreadingHTTPServer):
    """`pause` lies before each word; with `breaks_after` the connection ends after so many of them; `finish`
    is what ends the answer."""

    daemon_threads = True
    size = 1  # as one replica

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[dict[str, Any]] = []
        self.pause = 0.0
        self.breaks_after: int | None = None
        self.finish = "stop"
        super().__init__((LOCAL, 0), _Handler)
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port,)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedEngine

    def do_GET(self) -> None:
        """That it is well."""
        content = b'{"status": "ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        engine = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        engine.asked.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # who asked has gone
            self._words(engine, engine.script(body["messages"], body["seed"]))

    def _words(self, engine: ScriptedEngine, words: Sequence[str]) -> None:
        for number, word in enumerate(words):
            if engine.breaks_after == number:
                return
            time.sleep(engine.pause)
            self._event({"delta": {"content": word}, "finish_reason": None})
        # As `transformers serve` ends: with how it ended and what it counted, and without [DONE].
        usage = {"completion_tokens": len(words)}
        self._event({"delta": {}, "finish_reason": engine.finish}, usage=usage)

    def _event(self, choice: dict[str, Any], **more: Any) -> None:
        document = {"object": "chat.completion.chunk", "choices": [{"index": 0, **choice}], **more}
        self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


class ScriptedPolicy:
    """The public port of `settings`, which answers by `script` as `version`; it can go `down` and come `up`."""

    def __init__(self, settings: Any, version: UUID, script: Script) -> None:
        self.engine = ScriptedEngine(script)
        self.version = version
        self.relay = Relay(LOCAL, 0, name="policy")
        self.relay.start()
        settings.POLICY_SERVER_HOST, settings.POLICY_SERVER_PORT = LOCAL, self.relay.port
        self.up()

    def up(self) -> None:
        self.relay.point(self.engine, version=self.version)

    def down(self) -> None:
        self.relay.point(None)

    def close(self) -> None:
        self.relay.stop()
        self.engine.shutdown()
        self.engine.server_close()


@contextmanager
def scripted_policy(settings: Any, version: UUID, script: Script) -> Iterator[ScriptedPolicy]:
    made = ScriptedPolicy(settings, version, script)
    try:
        yield made
    finally:
        made.close()


def by_seed(*answers: str) -> Script:
    """A script of these answers, word by word, one after the other whoever asks."""
    left = list(answers)
    taking = threading.Lock()

    def script(_messages: list[dict[str, str]], _seed: int) -> Sequence[str]:
        with taking:
            text = left.pop(0) if len(left) > 1 else left[0]
        return [f"{word} " for word in text.split(" ")[:-1]] + [text.split(" ")[-1]]

    return script
