from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from outerloop.settings.env import (
    database_from_url,
    env_bool,
    env_choice,
    env_int,
    env_secret,
    env_str,
)


def test_a_missing_variable_is_named(monkeypatch):
    monkeypatch.delenv("OUTERLOOP_X", raising=False)
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X"):
        env_str("OUTERLOOP_X")


@pytest.mark.parametrize(("raw", "value"), [("1", True), ("no", False), ("", True)])
def test_switches_read_the_usual_words(monkeypatch, raw, value):
    monkeypatch.setenv("OUTERLOOP_X", raw)
    assert env_bool("OUTERLOOP_X", True) is value


def test_a_switch_with_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", "maybe")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X is 'maybe'"):
        env_bool("OUTERLOOP_X", True)


@pytest.mark.parametrize("raw", ["twelve", "-1"])
def test_a_number_that_is_none_is_refused(monkeypatch, raw):
    monkeypatch.setenv("OUTERLOOP_X", raw)
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X"):
        env_int("OUTERLOOP_X", 3)


def test_a_database_url_is_taken_apart():
    found = database_from_url("DATABASE_URL", "postgresql://me:p%40ss@db.example:5433/loop")
    assert found["HOST"] == "db.example"
    assert (found["NAME"], found["USER"], found["PASSWORD"]) == ("loop", "me", "p@ss")
    assert found["PORT"] == "5433"


def test_a_socket_folder_goes_into_the_host():
    found = database_from_url("DATABASE_URL", "postgresql://postgres@/loop?host=/run/x")
    assert (found["HOST"], found["PORT"]) == ("/run/x", "")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://a/b", "mysql"),
        ("postgresql://host", "names no database"),
        ("postgresql://host:port/x", "not a number"),
    ],
)
def test_other_databases_are_refused(url, says):
    with pytest.raises(ImproperlyConfigured, match=says):
        database_from_url("DATABASE_URL", url)


def test_a_choice_is_read_in_any_case_and_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", "Json")
    assert env_choice("OUTERLOOP_X", "text", ("text", "json")) == "json"
    monkeypatch.setenv("OUTERLOOP_X", "yaml")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X is 'yaml'; use one of text, json"):
        env_choice("OUTERLOOP_X", "text", ("text", "json"))


def test_a_short_secret_is_refused_and_none_is_none(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", "short")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X is too short"):
        env_secret("OUTERLOOP_X")
    monkeypatch.delenv("OUTERLOOP_X")
    assert env_secret("OUTERLOOP_X") == ""
