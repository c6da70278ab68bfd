"""What the health check of a container asks, and how it ends."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from outerloop.operations.monitoring.probe import accepted_host, probe


class Site(BaseHTTPRequestHandler):
    """Answers only to its own name, like Django; /bad is not ready."""

    def do_GET(self):
        known = self.headers["Host"] == "loop.example.org"
        secure = self.headers["X-Forwarded-Proto"] == "https"
        self.send_response(503 if self.path == "/bad" else 200 if known and secure else 400)
        self.end_headers()
        self.wfile.write(b'{"status": "not ready"}')

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_asks_under_a_name_that_the_site_accepts(site, monkeypatch):
    monkeypatch.setenv("OUTERLOOP_ALLOWED_HOSTS", ".internal, loop.example.org, other")
    assert probe(f"{site}/ready", host=accepted_host()) == ""
    assert "answered 400" in probe(f"{site}/ready")


def test_it_says_what_the_site_said(site):
    assert probe(f"{site}/bad") == f'{site}/bad answered 503: {{"status": "not ready"}}'


def test_a_site_that_is_not_there_is_a_sentence():
    assert "does not answer" in probe("http://127.0.0.1:1/")
