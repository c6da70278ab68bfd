"""The measurement of what few users can do to the head on signals: its arms, its cap, and its kept result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from annotation.signals.examples import MOST_OF_USER
from benchmarks import signals_head as measured

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "signals_head.json"


def test_each_arm_changes_what_the_manipulators_do_and_nothing_else():
    rng = np.random.default_rng(0)
    worth = np.eye(measured.STATES)[0]
    honest = measured.said_honestly(rng, worth, 0.3)
    kept = honest.user >= measured.MANIPULATORS
    for arm in measured.ARMS[1:]:
        said = measured.manipulated(rng, worth, honest, arm, MOST_OF_USER)
        theirs = said.user < measured.MANIPULATORS
        assert (np.bincount(said.user[theirs]) == MOST_OF_USER).all()
        assert (said.first[~theirs] == honest.first[kept]).all()
        assert (said.up[~theirs] == honest.up[kept]).all()
        if arm == "contrary":
            assert (said.up[theirs] == (said.first[theirs, 0] < 0)).all()


def test_the_cap_is_what_keeps_loud_users_from_steering():
    capped, free = (measured.seed_measured(3, 0.3, capped=capped) for capped in (True, False))
    assert capped["contrary"]["right"] > 0.9
    assert capped["contrary"]["share"] < 0.06
    assert free["contrary"]["right"] < 0.1
    assert free["contrary"]["share"] > 0.5
    assert capped == measured.seed_measured(3, 0.3, capped=True)


def test_the_kept_result_says_of_its_criterion_what_its_rows_say():
    document = json.loads(RESULT.read_text())
    assert document["seeds"] == [1000, 1100]
    assert document["held"] == measured.criterion(document["rows"])
    assert {(row["ready"], row["capped"], row["arm"]) for row in document["rows"]} == {
        (ready, capped, arm)
        for ready in measured.READY
        for capped in (True, False)
        for arm in measured.ARMS
    }
