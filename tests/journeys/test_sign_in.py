"""Signing in through a provider, in a real browser: the policy of the page must let the form lead there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]


class Provider(BaseHTTPRequestHandler):
    """What OpenID Connect asks of a provider before the person is there: its addresses, and a page."""

    def do_GET(self) -> None:
        if self.path.startswith("/.well-known/"):
            here = f"http://{self.headers['Host']}"
            addresses = {
                "issuer": here,
                "authorization_endpoint": f"{here}/authorize",
                "token_endpoint": f"{here}/token",
                "userinfo_endpoint": f"{here}/me",
                "jwks_uri": f"{here}/keys",
            }
            self.answer(json.dumps(addresses), "application/json")
        else:
            self.answer("<!doctype html><title>x</title><h1>Who are you?</h1>", "text/html")

    def answer(self, body: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_button_of_a_configured_provider_leads_there(visit, provider, settings):
    app = {
        "provider_id": "company",
        "name": "Company",
        "client_id": "outerloop",
        "secret": "a-secret",
        "settings": {"server_url": provider},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    page = visit(None, "/accounts/login/")
    page.get_by_role("link", name="Company").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
    assert page.url.startswith(f"{provider}/authorize?")
    assert "client_id=outerloop" in page.url
