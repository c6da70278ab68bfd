"""A real Chromium as pytest fixtures: `browser` (one a module) and `visit` (a page for one person).

Import both into a conftest.py. The pages watch themselves: an uncaught error, or a console error such as what
the Content-Security-Policy blocked, fails the test.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Self

import pytest
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from .chromium import ADVICE, chromium_find

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}
# Of what hangs, not of what is slow: other tests share the processors.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Playwright's loop runs in this thread, so that Django must be told that we mean it."""
    path = chromium_find()
    if path is None:
        pytest.fail(ADVICE)
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        with sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            yield opened
            opened.close()
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def visit(browser: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """`visit(user, "/address/", viewport=PHONE)`: the page as `user` (None: a stranger) sees it."""
    contexts, troubles = [], []

    def open_page(user: Any, address: str, **options: Any) -> Page:
        options.setdefault("viewport", DESKTOP)
        context = browser.new_context(base_url=live_server.url, locale="en-GB", **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        if user is not None:
            context.add_cookies([session_cookie(user, live_server.url)])
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: _note(troubles, message))
        page.goto(address)
        return page

    with _Underway() as underway:
        yield open_page
        for context in contexts:
            context.close()
        underway.wait()
    assert not troubles, "the browser reported: " + "; ".join(troubles)


class _Underway:
    """Requests that the server still works on: the test database must not be emptied under them.

    Counted at the server, in this process, because a page that closes may still send a last request.
    """

    def __init__(self) -> None:
        self.started = self.finished = 0
        self.counting = Lock()

    def __enter__(self) -> Self:
        request_started.connect(self._start)
        request_finished.connect(self._finish)
        return self

    def __exit__(self, *failure: object) -> None:
        request_started.disconnect(self._start)
        request_finished.disconnect(self._finish)

    def wait(self) -> None:
        """Wait until nothing has been underway for a fifth of a second, at most for ten."""
        calm = 0
        for _ in range(200):
            before = self.started
            time.sleep(0.05)
            calm = calm + 1 if before == self.started == self.finished else 0
            if calm == 4:
                return

    def _start(self, **signal: object) -> None:
        with self.counting:
            self.started += 1

    def _finish(self, **signal: object) -> None:
        with self.counting:
            self.finished += 1


def _note(troubles: list[str], message: Any) -> None:
    # What a test itself cuts off or provokes (offline, a refusal) shows as a failed load; that is no fault.
    if message.type == "error" and "Failed to load resource" not in message.text:
        troubles.append(message.text)


def session_cookie(user: Any, url: str) -> Any:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    return {"name": settings.SESSION_COOKIE_NAME, "value": value, "url": url}
