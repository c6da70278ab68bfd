"""A person at a running site, without a browser: signs in, reads pages, presses buttons."""

from __future__ import annotations

import http.cookiejar
import urllib.parse
import urllib.request


class Visitor:
    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self.cookies = http.cookiejar.CookieJar()
        processor = urllib.request.HTTPCookieProcessor(self.cookies)
        self.opener = urllib.request.build_opener(processor)

    def read(self, path: str) -> str:
        with self.opener.open(f"{self.address}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def press(self, path: str, **fields: str) -> str:
        """Send a form; the page that it leads to."""
        token = next(c.value for c in self.cookies if c.name == "csrftoken")
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token or ""}).encode()
        request = urllib.request.Request(f"{self.address}{path}", data)
        request.add_header("Referer", f"{self.address}{path}")
        with self.opener.open(request, timeout=60) as answer:
            return str(answer.read().decode())

    def sign_in(self, username: str, password: str) -> None:
        self.read("/accounts/login/")
        page = self.press("/accounts/login/", login=username, password=password)
        assert "Sign out" in page, f"{username} was not signed in"
