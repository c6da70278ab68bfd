"""The site while its database is away."""

from __future__ import annotations

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import InterfaceError, OperationalError
from django.test import Client

from web import outages
from web.outages import database_retried


@pytest.fixture
def away(monkeypatch):
    """No session can be read: what every page of a signed-in person needs first."""

    def load(_):
        raise OperationalError("connection refused")

    monkeypatch.setattr(SessionStore, "load", load)
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "a" * 32
    return client


def test_a_person_sees_a_plain_page_that_says_to_come_back(away):
    answer = away.get("/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "The database is away for a moment" in answer.content.decode()
    assert "connection refused" not in answer.content.decode()
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_a_program_gets_a_sentence(away):
    url = "/compare/00000000-0000-0000-0000-000000000001/next/"
    answer = away.post(url, data="{}", content_type="application/json")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Try again in a few seconds" in answer.json()["error"]


def test_any_other_error_stays_a_500(away, monkeypatch):
    def load(_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(SessionStore, "load", load)
    answer = away.get("/")
    assert answer.status_code == 500
    assert "Something broke" in answer.content.decode()


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_an_act_is_repeated_until_the_database_answers(monkeypatch, error):
    monkeypatch.setattr(outages, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(outages, "connection_drop", lambda: None)
    answers = iter([error("gone"), error("gone"), "done"])

    def act():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert database_retried(act, seconds=60) == "done"


def test_patience_has_an_end_and_another_error_none(monkeypatch):
    monkeypatch.setattr(outages, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(outages, "connection_drop", lambda: None)
    calls = []

    def act():
        calls.append(1)
        raise OperationalError("gone")

    with pytest.raises(OperationalError):
        database_retried(act, seconds=0)
    assert calls == [1]
    with pytest.raises(ZeroDivisionError):
        database_retried(lambda: 1 // 0, seconds=60)
