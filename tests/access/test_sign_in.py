"""Guessing passwords is slowed down, for every process together, and says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.test import Client

from outerloop.settings import base
from tests.support.people import person_create

CHECKOUT = Path(__file__).resolve().parents[2]


def sign_in(client: Client, name: str, password: str, **where: Any) -> Any:
    return client.post("/accounts/login/", {"login": name, "password": password}, **where)


@pytest.fixture
def limited(db: None, settings: Any) -> None:
    from django.core.cache import cache

    settings.ACCOUNT_RATE_LIMITS = base.ACCOUNT_RATE_LIMITS
    cache.clear()
    person_create("ann", "annotator")
    person_create("bob", "annotator")


def test_after_five_wrong_passwords_the_right_one_is_refused_too(limited: None) -> None:
    for n in range(5):
        answer = sign_in(Client(), "ann", f"guess {n}")
        assert "not correct" in answer.content.decode()
    refused = sign_in(Client(), "ann", "secret-of-ann")
    assert "Too many failed login attempts" in refused.content.decode()
    assert sign_in(Client(), "bob", "secret-of-bob").status_code == 302


def test_one_address_cannot_try_many_names(limited: None) -> None:
    for n in range(10):
        sign_in(Client(), f"name{n}", "guess")
    refused = sign_in(Client(), "bob", "secret-of-bob")
    assert "Too many failed login attempts" in refused.content.decode()
    elsewhere = sign_in(Client(), "bob", "secret-of-bob", REMOTE_ADDR="198.51.100.7")
    assert elsewhere.status_code == 302


def test_the_count_is_shared_by_all_processes() -> None:
    assert str(site.CACHES["default"]["BACKEND"]).endswith("DatabaseCache")


PRINT = """
import django; django.setup()
from django.test import Client
from django.conf import settings
answer = Client().get("/health/live", secure=True, headers={"host": "outerloop.example"})
for name, value in answer.headers.items(): print(f"{name}: {value}")
print("session:", settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY, settings.SESSION_COOKIE_SAMESITE)
plain = Client().get("/", headers={"host": "outerloop.example"})
print("plain:", plain.status_code, plain.headers["Location"])
"""


@pytest.mark.slow
def test_production_sends_its_cookies_and_headers_as_they_should_be() -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "outerloop.settings.prod",
        "OUTERLOOP_SECRET_KEY": "k" * 50,
        "OUTERLOOP_ALLOWED_HOSTS": "outerloop.example",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
    }
    ended = subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = ended.stdout
    assert "session: True True Lax" in said
    assert "plain: 301 https://outerloop.example/" in said
    assert "Strict-Transport-Security: max-age=31536000; includeSubDomains; preload" in said
    for header in (
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Cross-Origin-Opener-Policy: same-origin",
        "Referrer-Policy: same-origin",
    ):
        assert header in said
