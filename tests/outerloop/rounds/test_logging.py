"""A line in the log names the round, the step and the run that it is about."""

from __future__ import annotations

import io
import json
import logging

import pytest

from outerloop.rounds.models import State
from outerloop.rounds.services import round_advance
from outerloop.rounds.steps import StepFailed
from tests.outerloop.rounds.world import advance_through, run_of
from training.runs import execution
from web.logs import JsonFormatter
from web.tracing import log_fields


@pytest.fixture
def lines():
    """The lines of our own loggers as JSON, when asked."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("outerloop.rounds")
    before = logger.level
    logger.setLevel("INFO")
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_each_step_leaves_a_line_with_its_round_and_time(loop, steps, lines):
    round_ = loop.round(State.SNAPSHOT)
    round_advance(round_id=round_.id)
    (line,) = lines()
    assert (line["round_id"], line["step"]) == (str(round_.id), "SNAPSHOT")
    assert line["message"].startswith("The step is done.")
    assert line["seconds"] >= 0


def test_a_failure_is_an_error_with_its_reason(loop, steps, lines):
    steps.outcomes[State.SNAPSHOT] = StepFailed("The disk is full.")
    round_ = loop.round(State.SNAPSHOT)
    round_advance(round_id=round_.id)
    (line,) = lines()
    assert (line["level"], line["message"]) == ("ERROR", "The round stopped: The disk is full.")
    assert (line["round_id"], line["step"]) == (str(round_.id), "SNAPSHOT")


def test_what_a_run_logs_names_the_run_and_its_round(loop, behave, lines, monkeypatch):
    seen = []
    followed = execution._program_follow

    def follow(*given):
        seen.append(dict(log_fields()))
        return followed(*given)

    monkeypatch.setattr(execution, "_program_follow", follow)
    round_ = advance_through(loop.round(State.SNAPSHOT), upto=State.REWARD_EVALUATION)
    assert seen == [
        {
            "round_id": str(round_.id),
            "step": "REWARD_TRAINING",
            "run_id": str(run_of(round_, State.REWARD_TRAINING).id),
        }
    ]
