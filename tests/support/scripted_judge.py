"""An OpenAI-compatible server on 127.0.0.1 whose judge a test scripts: it reads what it is asked as a model would."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from tests.support.receivers import answering

Opinion = Callable[[str, str], str]

_ANSWER = re.compile(r"<<(\w+) answer (A|B) begins>>\n(.*?)\n<<\1 answer \2 ends>>", re.DOTALL)


def said(letter: str) -> str:
    return json.dumps({"verdict": letter})


def by_mark(first: str, second: str) -> str:
    """A good judge: the text that says "good" wins."""
    good = ("good" in first, "good" in second)
    return said("tie" if good[0] == good[1] else "A" if good[0] else "B")


def always_a(first: str, second: str) -> str:
    return said("A")


def rambling(first: str, second: str) -> str:
    return "Both have merits. A is warmer and B is shorter, so it depends on who asks."


def longer(first: str, second: str) -> str:
    return said("tie" if len(first) == len(second) else "A" if len(first) > len(second) else "B")


@dataclass
class Judge:
    """`statuses` are answered first, one a request, before its `opinion` is; a request hangs for `delay`."""

    opinion: Opinion = by_mark
    statuses: list[int] = field(default_factory=list)
    retry_after: str = ""
    delay: float = 0.0
    content: Any = None  # in place of the opinion
    body: bytes = b""  # in place of a chat completion
    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def shown(self, number: int) -> tuple[str, str]:
        """The (first, second) text of a question."""
        texts = {name: text for _, name, text in _ANSWER.findall(_user(self.asked[number]))}
        return texts["A"], texts["B"]


def _user(question: dict[str, Any]) -> str:
    return str(question["messages"][-1]["content"])


@contextmanager
def scripted_judge(**script: Any) -> Iterator[Judge]:
    told, lock = Judge(**script), Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                told.asked.append(asked)
                told.keys.append(self.headers.get("Authorization", ""))
                status = told.statuses.pop(0) if told.statuses else 200
                told.at_once += 1
                told.most_at_once = max(told.most_at_once, told.at_once)
            time.sleep(told.delay)
            with lock:
                told.at_once -= 1
            self.answer(status, self.words(asked, status))

        def words(self, asked: dict[str, Any], status: int) -> bytes:
            if self.path != "/v1/chat/completions":
                return b"no such path"
            if status != 200:
                return f"not now; your key was {self.headers.get('Authorization', '')}".encode()
            if told.body:
                return told.body
            texts = {name: text for _, name, text in _ANSWER.findall(_user(asked))}
            content = told.content or told.opinion(texts["A"], texts["B"])
            return json.dumps({"choices": [{"message": {"content": content}}]}).encode()

        def answer(self, status: int, body: bytes) -> None:
            try:
                self.send_response(status)
                if told.retry_after:
                    self.send_header("Retry-After", told.retry_after)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # who asked has gone
                pass

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        told.port = server.server_address[1]
        with answering(server):
            yield told
