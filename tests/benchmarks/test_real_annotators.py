"""Simulated annotators and the replayed gate."""

from __future__ import annotations

import random

import pytest

from benchmarks.real_annotators import gate_replay, logistic, replays_summary, step_of
from evaluation.contracts import GateMeasurements, GatePolicySettings
from evaluation.statistics.betting import Aim

SETTINGS = GatePolicySettings(max_labels=400)
MEASURED = GateMeasurements(candidate_sha256="a", incumbent_sha256="b")


@pytest.mark.parametrize(
    ("latent", "step"), [(5.0, 1), (2.0, 2), (0.5, 3), (-0.5, 5), (-2.0, 6), (-5.0, 7)]
)
def test_a_larger_margin_is_a_stronger_step_to_its_side(latent: float, step: int) -> None:
    assert step_of(latent) == step


def test_the_noise_makes_the_first_win_as_often_as_bradley_and_terry_say() -> None:
    dice = random.Random(3)
    wins = sum(1.0 + logistic(dice) > 0 for _ in range(20_000)) / 20_000
    assert wins == pytest.approx(0.7311, abs=0.01)  # sigmoid(1)


def test_a_candidate_that_always_wins_passes_and_one_that_never_does_fails() -> None:
    better, worse = (
        gate_replay(
            [margin], MEASURED, settings=SETTINGS, aim=Aim(0.03, 400), sharpness=1.0, seed=0
        )
        for margin in (3.0, -3.0)
    )
    assert better.status == "PASS"
    assert better.labels < 100
    assert better.win_rate > 0.8
    assert worse.status == "FAIL"
    assert worse.win_rate < 0.2


def test_equal_texts_spend_the_budget_and_pass_nothing() -> None:
    found = gate_replay(
        [0.0], MEASURED, settings=SETTINGS, aim=Aim(0.03, 400), sharpness=1.0, seed=2
    )
    assert found.status != "PASS"
    summary = replays_summary([found])
    assert summary["passed"] == 0
    assert summary["median_labels_of_passed"] is None
