"""Wrong environment variables, a database or a policy server that is away: one sentence, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.utils import OperationalError

from evaluation.gates.serving.client import PolicyUnavailable, policy_ask
from evaluation.gates.serving.engine import free_port
from outerloop.settings import addresses, env
from tests.support.documented import assert_said
from tests.support.people import person_create

CHECKOUT = Path(__file__).resolve().parents[2]
Read = Callable[[str], object]

VARIABLES: list[tuple[str, str, Read]] = [
    ("no switch", "maybe", lambda name: env.env_bool(name, True)),
    ("no number", "twelve", lambda name: env.env_int(name, 1)),
    ("too small", "-1", lambda name: env.env_int(name, 1)),
    ("no port", "70000", lambda name: env.env_port(name, 1)),
    ("no time zone", "Mars/Olympus", lambda name: env.env_time_zone(name, "UTC")),
    ("no time zone", "../../etc/passwd", lambda name: env.env_time_zone(name, "UTC")),
    ("no choice", "chatty", lambda name: env.env_choice(name, "INFO", ("INFO", "ERROR"))),
    ("no address", "outerloop.example.org", lambda name: env.env_url(name, "http://x")),
    ("no origin", "login.example.org", env.env_origins),
    ("no such settings file", "/nowhere/accelerate.yaml", env.env_file),
    ("secret too short", "changeme", env.env_secret),
    ("no broker", "localhost:6379", lambda name: addresses.broker_from_url(name, os.environ[name])),
    (
        "no PostgreSQL",
        "mysql://a/b",
        lambda name: addresses.database_from_url(name, os.environ[name]),
    ),
    ("a host with a scheme", "https://site.example.org", env.env_hosts),
    ("a host with a port", "smtp.example.org:587", lambda name: env.env_host(name, "")),
    (
        "an address with a query",
        "https://site.example.org/?a=b",
        lambda name: env.env_url(name, ""),
    ),
    (
        "a database without its certificate",
        "postgresql://h/d?sslrootcret=/ca.pem",
        lambda name: addresses.database_from_url(name, os.environ[name]),
    ),
    (
        "a broker without its certificate",
        "redis://h/0?ssl_ca_certs=/ca.pem",
        lambda name: addresses.broker_from_url(name, os.environ[name]),
    ),
]


@pytest.mark.parametrize(("case", "value", "read"), VARIABLES)
def test_a_variable_that_cannot_be_right_is_named(case, value, read, monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", value)
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X") as refusal:
        read("OUTERLOOP_X")
    assert_said(case, str(refusal.value))


def test_a_variable_that_is_missing_is_named(monkeypatch):
    monkeypatch.delenv("OUTERLOOP_X", raising=False)
    with pytest.raises(ImproperlyConfigured) as refusal:
        env.env_str("OUTERLOOP_X")
    assert_said("not set", str(refusal.value))


def manage(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", **variables}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("case", "words", "variables"),
    [
        ("heartbeat too slow", ["check"], {"OUTERLOOP_HEARTBEAT_SECONDS": "60"}),
        ("database away, terminal", ["migrate"], {}),
    ],
)
def test_a_command_ends_with_the_sentence_alone(case, words, variables):
    ended = manage(*words, DJANGO_SETTINGS_MODULE="outerloop.settings.dev", **variables)
    assert ended.returncode == 1
    assert_said(case, ended.stderr)
    assert "Traceback" not in ended.stderr


@pytest.mark.django_db
@pytest.mark.parametrize(
    "broken",
    [OperationalError("server closed"), OSError(28, "No space left on device", "/var/x")],
)
def test_a_page_without_its_database_or_disk_says_so_and_to_try_again(
    client, monkeypatch, broken: Exception
):
    client.raise_request_exception = False
    client.force_login(
        person_create("lea", "lead"), backend="django.contrib.auth.backends.ModelBackend"
    )

    def away(*_: Any, **__: Any) -> None:
        raise broken

    monkeypatch.setattr("web.views.notices_for", away)
    answer = client.get("/notices/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    case = "database away, page" if isinstance(broken, OperationalError) else "full disk"
    assert_said(case, answer.content.decode())
    programs = client.get("/notices/", headers={"Content-Type": "application/json"})
    assert programs.json()["error"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_a_policy_server_that_is_away_is_named_with_its_settings():
    question = [{"role": "user", "content": "Hello"}]
    with pytest.raises(PolicyUnavailable) as refusal:
        policy_ask(question, host="127.0.0.1", port=free_port(), timeout=2)
    assert_said("policy server away", str(refusal.value))


def test_a_word_that_is_no_text_is_named_before_a_command_begins():
    ended = manage("api_token", "ann\udcff", DJANGO_SETTINGS_MODULE="outerloop.settings.dev")
    assert ended.returncode == 1
    assert_said("word that is no text", ended.stderr)
    assert ended.stderr.startswith(r"'ann\udcff' is not")
