"""The measurement of what few users can do: its worlds, its arms, and what it says of its criterion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import signals_manipulation as measured

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "signals_manipulation.json"


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(measured, "USERS", 300)
    monkeypatch.setattr(measured, "PROMPTS", 40)
    monkeypatch.setattr(measured, "MANIPULATORS", 6)


def test_each_arm_changes_what_the_manipulators_do_and_nothing_else(few):
    rng = np.random.default_rng(0)
    world = measured.world_made(rng)
    given = measured.thumbs_drawn(rng, world, 0.3, rise=0.0)
    honest = {arm: measured.manipulated(rng, world, given, arm) for arm in measured.ARMS}
    assert honest["honest"] is given
    for arm in ("down", "topic"):
        theirs = honest[arm].user < 6
        assert np.bincount(honest[arm].user[theirs], minlength=6).min() > 0
        assert honest[arm].down[theirs].all()
        assert (honest[arm].down[~theirs] == given.down[given.user >= 6]).all()
    topic = honest["topic"].prompt[honest["topic"].user < 6]
    assert set(topic.tolist()) == set(world.topic.tolist())


def test_a_user_votes_once_by_the_first_day():
    given = measured.Given(
        user=np.array([5, 5, 5, 7]),
        prompt=np.array([0, 1, 2, 3]),
        day=np.array([3, 3, 4, 1]),
        down=np.array([True, False, True, True]),
    )
    assert measured.votes(given) == [True, False]  # user 7 first; half of user 5's first thumbs


def test_a_seed_gives_the_same_figures_again(few):
    found = measured.seed_measured(3, 0.3)
    assert found == measured.seed_measured(3, 0.3)
    assert found["honest"]["kept"] == 1.0


def test_the_kept_result_says_of_its_criterion_what_its_rows_say():
    document = json.loads(RESULT.read_text())
    assert document["seeds"] == [1000, 1200]
    assert document["held"] == measured.criterion(document["rows"])
    assert {(row["ready"], row["arm"]) for row in document["rows"]} == {
        (ready, arm) for ready in measured.READY for arm in measured.ARMS
    }
