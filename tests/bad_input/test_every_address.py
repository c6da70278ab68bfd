"""No input to any address answers 500: wrong types, huge numbers, NUL, half characters, bad ids, lists for
scalars, files for texts, by GET, by form and as JSON, as everybody who is let in.

What is sent is drawn with a seed from the fields that the pages themselves ask for, and from what
`tests/access/table.py` posts. Every request is undone.
"""

from __future__ import annotations

import json
import logging
import random
import re
import sys
import traceback
import zlib
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import got_request_exception
from django.db import transaction
from django.test import Client

from outerloop.rounds import tasks as rounds
from tests.access.table import (
    ACCOUNT_PAGES,
    ANNOTATOR,
    CHIEF,
    ENGINEER,
    LEAD,
    OUTSIDER,
    RULES,
    Rule,
)
from tests.access.world import House, house_build, url_table

REQUESTS = 3  # of each kind, for each address and actor
ACTORS = (CHIEF, ENGINEER, LEAD, ANNOTATOR, OUTSIDER)
QUERIES = (
    "older", "newer", "after", "limit", "version", "line", "state", "verb", "actor", "next", "page",
    "q", "campaign", "rater", "since", "until", "split", "number", "sort", "from", "to", "format",
)  # fmt: skip
# %-escapes, so that also what no text can hold reaches the site.
WORDS = [
    "", "+", "x" * 6_000, "%00", "a%00b", "%ED%A0%80", "%FF%FE", "-1", "0", "1", "7", "9" * 30,
    "-" + "9" * 30, "1e999", "NaN", "Infinity", "1.5", "null", "true", "[]", "%7B%7D", "on",
    "2026-13-45", "9999-12-31T23:59:59%2B14:00", "0001-01-01", "..%2F..%2Fetc%2Fpasswd", "%F0%9F%98%80",
    "%D9%A1%D9%A2", "00000000-0000-0000-0000-000000000000", "not-an-id", "W10=", "WyJhIl0=", "bnVsbA==",
    "WyJcdWQ4MDAiLDFd", "WzFlOTk5OSwxXQ==", "%3Cscript%3E", "'+OR+1=1--", "%E2%80%AE", "%0A%0D",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 5, 10**30, -(10**30), 1.5, 1e308, [], [5], [[]], {}, {"a": {}}, "", " ",
    "x" * 6_000, "a\x00b", "\ud800", "not-an-id", "00000000-0000-0000-0000-000000000000", "9" * 30,
    ["x"] * 200, {"\x00": 1}, {"overall": 10**30}, {"overall": [1]}, {"overall": None}, "2026-13-45",
]  # fmt: skip
BODIES = [
    b"", b"{", b"null", b"5", b"[]", b'"x"', b"NaN", b"\xff", b"[" * 5_000, b'{"a":' * 3_000,
    b'{"held": 5}', b'{"held": [5]}', b"-----", b'{"key": 1e999}',
]  # fmt: skip
PLACES = [
    "0",
    "-1",
    "9" * 30,
    "x" * 3_000,
    "%00",
    "%FF",
    "%ED%A0%80",
    "..",
    "a%00b",
    "%F0%9F%98%80",
]
FILLED = {
    "account_confirm_email": "accounts/confirm-email/some-key/",
    "account_reset_password_from_key": "accounts/password/reset/key/1-some-key/",
    "openid_connect_login": "accounts/oidc/nowhere/login/",
    "openid_connect_callback": "accounts/oidc/nowhere/login/callback/",
}


@pytest.fixture
def house(db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    settings.VAR_DIR = tmp_path
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_API_PER_MINUTE = 1_000_000
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)
    # The message itself: a module first imported now would keep a function in its place for ever.
    monkeypatch.setattr(rounds.advance, "apply_async", lambda args, queue: None)
    return house_build(tmp_path)


class Attack:
    """One actor at all addresses; `broken` collects what answered 500, with the place of the fault."""

    def __init__(self, house: House, actor: str) -> None:
        self.house, self.actor = house, actor
        self.dice = random.Random(zlib.crc32(actor.encode()))
        self.session = house.client(actor)
        self.program = house.client(actor, by_token=True)
        self.session.raise_request_exception = self.program.raise_request_exception = False
        self.broken: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []

    def fault(self, sender: Any, **about: Any) -> None:
        kind, error, trace = sys.exc_info()
        frames = traceback.extract_tb(trace)
        ours = [f for f in frames if "site-packages" not in f.filename] or frames
        place = f"{ours[-1].filename}:{ours[-1].lineno}"
        self.faults.append(f"{place} {kind.__name__ if kind else ''}: {error}"[:300])

    def send(
        self,
        client: Client,
        method: str,
        path: str,
        query: str,
        *,
        body: bytes = b"",
        kind: str = "text/html",
    ) -> str:
        """The answer's text; with `broken` longer by one where it is a 500."""
        del self.faults[:]
        with transaction.atomic():
            answer = client.generic(method, path, body, content_type=kind, QUERY_STRING=query)
            text = "" if _sent(answer) else answer.content.decode(errors="replace")
            transaction.set_rollback(True)
        # Readiness looks through connections of its own, to which this test's rows are not there yet.
        unready = answer.status_code == 503 and answer.request["PATH_INFO"] == "/health/ready"
        if answer.status_code >= 500 and not unready:
            sent = f"{method} {path[:120]}?{query[:120]} {body[:160]!r}"
            self.broken.append(f"{self.actor}: {sent}\n    {'; '.join(self.faults)}")
        self.statuses[answer.status_code] += 1
        return text

    def address(self, name: str, pattern: str, rule: Rule) -> None:
        path, client = self.house.address(FILLED.get(name, pattern)), self.session
        if rule.by_token:
            client = self.program
        page = self.send(client, "GET", path, "")
        names = [*dict.fromkeys(re.findall(r'name="([\w-]+)"', page)), *rule.body] or ["x"]
        for _ in range(REQUESTS):
            self.send(client, "GET", path, self.words(self.dice.sample(QUERIES, 3)))
            self.send(client, "POST", path, "", body=self.words(names).encode(), kind=FORM)
            self.send(
                client, "POST", path, "", body=self.json(names, rule), kind="application/json"
            )
        self.send(client, "POST", path, "", body=self.dice.choice(BODIES), kind="application/json")
        self.send(client, "POST", path, "", body=self.dice.choice(BODIES), kind=MULTIPART)
        self.file(client, path, names, rule)
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            self.send(client, method, path, "")
        self.elsewhere(client, FILLED.get(name, pattern))

    def words(self, names: list[str]) -> str:
        """Some of the fields well, the others badly; now and then a field twice."""
        drawn = [(name, self.dice.choice(WORDS)) for name in names if self.dice.random() < 0.8]
        drawn += [(name, self.dice.choice(WORDS)) for name in names if self.dice.random() < 0.2]
        return "&".join(f"{quote(name)}={word}" for name, word in drawn)

    def json(self, names: list[str], rule: Rule) -> bytes:
        """What the table posts, with some values in the place of others, also deeper inside."""
        body = {**dict.fromkeys(names, "x"), **KNOWN, **self.house.filled(rule.body)}
        kept = {
            k: v for k, v in body.items() if isinstance(v, str | int | float | list | dict | None)
        }
        for name in self.dice.sample(sorted(kept), min(2, len(kept))):
            kept[name] = self.spoiled(kept[name])
        return json.dumps(kept if rule.json or self.dice.random() < 0.5 else [kept]).encode()

    def spoiled(self, value: Any) -> Any:
        if isinstance(value, list) and value and self.dice.random() < 0.5:
            return [self.spoiled(value[0]), *value[1:]]
        if isinstance(value, dict) and value and self.dice.random() < 0.5:
            name = self.dice.choice(sorted(value))
            return {**value, name: self.spoiled(value[name])}
        return self.dice.choice(VALUES)

    def file(self, client: Client, path: str, names: list[str], rule: Rule) -> None:
        """Files where texts are wanted, and texts in files' places."""
        content = self.dice.choice(
            [b"", b"\x00" * 20, b"{", b'{"prompt": 5}', b"a,b\n1", b"\x1f\x8b"]
        )
        data = {**self.house.filled(rule.body)}
        data = {k: v for k, v in data.items() if isinstance(v, str)}
        for name in self.dice.sample(names, min(3, len(names))):
            called = self.dice.choice(["a.jsonl", "a.gz", "x" * 300 + ".jsonl"])
            data[name] = SimpleUploadedFile(called, content)
        del self.faults[:]
        with transaction.atomic():
            answer = client.post(path, data)
            _sent(answer)
            transaction.set_rollback(True)
        if answer.status_code >= 500:
            self.broken.append(
                f"{self.actor}: POST {path} files {sorted(data)} {content!r}\n    {self.faults}"
            )

    def elsewhere(self, client: Client, pattern: str) -> None:
        """Every part of the address that names something, naming nonsense."""
        parts = re.findall(r"<[^>]+>", pattern)
        for part in parts:
            place = quote(self.dice.choice(PLACES), safe="%")
            path = self.house.address(pattern.replace(part, place, 1))
            for method in ("GET", "POST"):
                self.send(client, method, path, "", kind="application/json", body=b"{}")


def _sent(answer: Any) -> bool:
    """Whether it is a file or a stream, which keeps its place until it is sent, as it now is."""
    for _ in answer.streaming_content if answer.streaming else ():
        pass
    return bool(answer.streaming)


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
KNOWN: dict[str, Any] = {
    "held": [], "count": 1, "prefer": None, "key": "k", "values": {"overall": 2}, "flags": [],
    "rationale": "", "seconds": 1.0, "both_bad": False, "answer": {}, "reason": "technical",
    "version": 1,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("actor", ACTORS)
def test_no_input_to_any_address_answers_500(house: House, actor: str) -> None:
    attack = Attack(house, actor)
    got_request_exception.connect(attack.fault)
    try:
        for name, pattern in sorted(url_table().items()):
            rule = RULES.get(name, Rule())
            if name in ACCOUNT_PAGES or actor in rule.get | rule.post or actor == OUTSIDER:
                attack.address(name, pattern, rule)
    finally:
        got_request_exception.disconnect(attack.fault)
    assert attack.statuses.total() > 500
    print(actor, attack.statuses)
    assert not attack.broken, "\n".join(sorted(set(attack.broken)))


def test_the_search_itself_can_fail(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that takes a list on trust is found, by the value and by the place of the fault."""

    def trusting(body: dict[str, Any], name: str) -> frozenset[Any]:
        return frozenset(body.get(name, []))

    monkeypatch.setattr("annotation.comparisons.views.ids_read", trusting)
    attack = Attack(house, ANNOTATOR)
    got_request_exception.connect(attack.fault)
    for _ in range(10):
        attack.address(
            "comparisons:next", url_table()["comparisons:next"], RULES["comparisons:next"]
        )
    got_request_exception.disconnect(attack.fault)
    assert attack.broken
    assert all("TypeError" in found for found in attack.broken)
