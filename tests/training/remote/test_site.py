"""How a job asks the site: in bounded time, without following anybody, and again while it is away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.object_storage import hanging_server
from training.remote import site as remote_site
from training.remote.site import Away, Site, SiteRefused, patient


class Answering(ThreadingHTTPServer):
    """Answers each request with the next of `answers`: a status, a body and headers."""

    answers: list[tuple[int, str, dict[str, str]]]
    heard: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = {"path": self.path, "token": self.headers["Authorization"], "body": json.loads(body)}
        self.server.heard.append(said)
        status, content, headers = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content.encode())

    do_GET = do_POST

    def log_message(self, *about: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def server() -> Iterator[Answering]:
    made = Answering(("127.0.0.1", 0), Handler)
    made.answers, made.heard = [], []
    threading.Thread(target=made.serve_forever, args=[0.02], daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def site_of(server: Answering) -> Site:
    return Site(f"http://127.0.0.1:{server.server_port}/", "7f", 3, "a-token")


def test_the_token_goes_in_a_header_to_the_attempts_address(server):
    server.answers = [(200, '{"stop": false}', {})]
    assert site_of(server).call("tell", {"begun": 1}) == {"stop": False}
    (heard,) = server.heard
    assert heard == {"path": "/jobs/7f/3/tell/", "token": "Bearer a-token", "body": {"begun": 1}}


@pytest.mark.parametrize("status", [400, 401, 409, 413])
def test_a_refusal_is_for_good_and_says_why(server, status):
    server.answers = [(status, '{"error": "no more"}', {})]
    with pytest.raises(SiteRefused, match=r"^no more$"):
        site_of(server).call("tell", {})


@pytest.mark.parametrize(
    ("status", "body"),
    [(502, "bad gateway"), (503, '{"error": "away"}'), (200, "no JSON"), (404, "")],
)
def test_another_answer_may_be_another_one_later(server, status, body):
    server.answers = [(status, body, {})]
    with pytest.raises(Away):
        site_of(server).call("tell", {})


def test_the_token_follows_no_redirect(server):
    server.answers = [(301, "", {"Location": f"http://localhost:{server.server_port}/else/"})]
    with pytest.raises(SiteRefused, match=r"sends us elsewhere: mend OUTERLOOP_JOB_SITE"):
        site_of(server).call("tell", {})
    assert len(server.heard) == 1


def test_a_site_that_hangs_is_away_in_bounded_time(monkeypatch):
    monkeypatch.setattr(remote_site, "SECONDS", 0.3)
    with hanging_server() as address, pytest.raises(Away, match="does not answer"):
        Site(address, "7f", 3, "a-token").call("tell", {})


def test_what_is_away_is_asked_again_and_not_for_ever(monkeypatch):
    monkeypatch.setattr(remote_site, "FIRST_PAUSE", 0.01)
    outcomes: list[Any] = [Away("asleep"), Away("asleep"), 7]
    said: list[str] = []

    def act() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert patient(act, seconds=5, say=said.append) == 7
    assert said == ["asleep; trying again"] * 2

    def away() -> None:
        raise Away("for good")

    with pytest.raises(Away, match="for good"):
        patient(away, seconds=0.1, say=said.append)
