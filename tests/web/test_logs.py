"""What a log line says, for people and for programs."""

from __future__ import annotations

import io
import json
import logging

import pytest
from django.core.exceptions import ImproperlyConfigured

from outerloop.settings.logs import logging_settings
from web.logs import JsonFormatter, TextFormatter
from web.tracing import log_arguments, log_context, log_fields


@pytest.fixture
def logged():
    """`logged(formatter)` returns a logger and the lines that it wrote."""
    stream = io.StringIO()
    logger = logging.Logger("outerloop.test")

    def set_up(formatter):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger.addHandler(handler)
        return logger, lambda: stream.getvalue().splitlines()

    return set_up


def test_json_holds_the_open_ids_and_what_was_given_as_extra(logged):
    logger, lines = logged(JsonFormatter())
    with log_context(round_id="r-1"), log_context(step="SNAPSHOT", run_id=""):
        logger.warning("took %d s", 3, extra={"seconds": 3, "odd": object()})
    logger.info("after")
    first, second = map(json.loads, lines())
    assert first.pop("at").endswith("+00:00")
    assert first == {
        "level": "WARNING", "logger": "outerloop.test", "message": "took 3 s",
        "round_id": "r-1", "step": "SNAPSHOT", "seconds": 3,
    }  # fmt: skip
    assert "round_id" not in second


def test_a_message_with_line_breaks_stays_one_line_and_an_error_brings_its_trace(logged):
    logger, lines = logged(JsonFormatter())
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        logger.exception('forged\n{"level": "INFO"}')
    (line,) = lines()
    written = json.loads(line)
    assert written["message"] == 'forged\n{"level": "INFO"}'
    assert "ValueError: broken" in written["error"]


def test_text_shortens_ids_and_not_names(logged):
    logger, lines = logged(TextFormatter())
    with log_context(round_id="0123456789abcdef", step="POLICY_TRAINING"):
        logger.info("on its way")
    assert lines()[0].endswith(
        "INFO outerloop.test on its way  [round 01234567, step POLICY_TRAINING]"
    )


def test_a_service_logs_under_its_arguments():
    @log_arguments("run_id", "other_id")
    def service(*, run_id, other_id=None):
        return dict(log_fields())

    assert service(run_id=7) == {"run_id": "7"}
    assert dict(log_fields()) == {}


def test_json_has_a_line_for_each_request_and_text_has_not(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_LOG_FORMAT", "json")
    settings = logging_settings("text")
    assert settings["formatters"]["line"]["()"] == "web.logs.JsonFormatter"
    assert settings["loggers"]["outerloop.requests"]["level"] == "INFO"
    monkeypatch.delenv("OUTERLOOP_LOG_FORMAT")
    assert logging_settings("text")["loggers"]["outerloop.requests"]["level"] == "WARNING"


def test_celery_says_no_more_than_warnings_and_less_when_asked(monkeypatch):
    assert logging_settings("text")["loggers"]["celery"]["level"] == "WARNING"
    monkeypatch.setenv("OUTERLOOP_LOG_LEVEL", "error")
    settings = logging_settings("text")
    assert (settings["root"]["level"], settings["loggers"]["celery"]["level"]) == ("ERROR", "ERROR")


def test_an_unknown_format_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_LOG_FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_LOG_FORMAT is 'xml'"):
        logging_settings("text")
