"""Demonstrations have the quality that the demo needs to start from."""

from __future__ import annotations

from statistics import mean

import pytest

from outerloop.demo.gold import GoldScore, gold_score
from outerloop.demo.world import demonstrations


def scores(phase: int) -> list[GoldScore]:
    rows = demonstrations(1, phase, n=4000)
    return [gold_score(row["messages"][:1], row["messages"][1]["content"]) for row in rows]


def test_short_answers_are_right_nine_times_in_ten_and_never_junk():
    seen = scores(1)
    assert abs(mean(s.correct for s in seen) - 0.9) < 0.02
    assert not any(s.junk for s in seen)


def test_mixed_texts_show_every_fault_and_room_to_improve():
    seen = scores(2)
    assert 0.3 <= mean(s.correct for s in seen) <= 0.6
    assert 0.10 <= mean(s.needless_refusal for s in seen) <= 0.25
    assert 0.15 <= mean(s.hedges > 0 for s in seen) <= 0.35
    assert 0 < mean(s.junk for s in seen) <= 0.05
    assert any(s.repetitions for s in seen)
    assert any(s.fillers for s in seen)
    assert any(s.compliance for s in seen)


def test_the_same_seed_gives_the_same_rows():
    assert demonstrations(5, 2, n=20) == demonstrations(5, 2, n=20)


def test_an_unknown_phase_is_named():
    with pytest.raises(ValueError, match="no phase 3"):
        demonstrations(1, 3)
