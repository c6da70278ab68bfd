"""A demo that was interrupted is started again and goes on from what is there."""

from __future__ import annotations

import pytest

from outerloop.demo import loop as demo
from outerloop.demo.loop import Narrator
from outerloop.rounds.models import State
from outerloop.rounds.services import round_advance
from tests.outerloop.rounds.conftest import loop, sent, steps, store
from tests.outerloop.rounds.world import step_of

__all__ = ["loop", "sent", "steps", "store"]


@pytest.fixture
def worker(monkeypatch):
    """Takes up at once what is handed to it."""

    def advance(round_id, state):
        while round_advance(round_id=round_id) is not None:
            pass

    monkeypatch.setattr(demo, "advance_enqueue", advance)
    monkeypatch.setattr(demo, "NUDGE_SECONDS", 0.0)
    monkeypatch.setattr(demo, "POLL_SECONDS", 0.01)


@pytest.mark.parametrize("state", [State.SAMPLING_PAIRS, State.FAILED, State.CANCELLED])
def test_first_pairs_that_were_interrupted_are_finished(loop, steps, worker, state):
    round_ = loop.round(state, number=0)
    if state != State.SAMPLING_PAIRS:
        round_.steps.create(name=State.SAMPLING_PAIRS, position=11)
    demo._first_pairs(loop.line, Narrator())
    round_.refresh_from_db()
    assert round_.state == State.CLOSED
    assert step_of(round_, State.SAMPLING_PAIRS).finished_at is not None


def test_finished_first_pairs_are_left_alone(loop, steps, worker):
    loop.round(State.CLOSED, number=0)
    demo._first_pairs(loop.line, Narrator())
    assert steps.worked == []
