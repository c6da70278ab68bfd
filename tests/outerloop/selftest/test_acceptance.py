"""The arithmetic of the acceptance lines, on curves and trials drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outerloop.selftest.acceptance import AcceptanceLine, acceptance, all_met, run_summary
from outerloop.selftest.results import ArmResult
from outerloop.selftest.sizes import SINGLE, UWO
from tests.outerloop.selftest.worlds import (
    FLAT,
    RISES_AND_FALLS,
    STAYS_UP,
    UP,
    a_curve,
    a_result,
    a_trial,
    noise,
)


def found(results: list[ArmResult], key: str) -> AcceptanceLine:
    return next(line for line in acceptance(results) if line.key == key)


def test_a_run_is_read_by_means_over_three_updates_against_the_first():
    run = run_summary(a_curve(RISES_AND_FALLS))
    assert run.peak == pytest.approx(2.0)
    assert run.end == pytest.approx(0.5)
    assert run.drop == pytest.approx(1.5)
    assert run.proxy == pytest.approx(4.5)
    assert run.stopped == pytest.approx(0.5)  # the held-out reward rises to the end


def test_early_stopping_is_where_the_held_out_reward_was_highest():
    curve = a_curve(RISES_AND_FALLS, held_out=(0.0, 0.0, 3.0, 3.0, 3.0, 0.0, 0.0))
    assert run_summary(curve).stopped == pytest.approx(2.0)
    assert run_summary(replace(curve, held_out=())).stopped is None


@pytest.mark.parametrize(
    ("gold", "proxy", "falls"),
    [(RISES_AND_FALLS, UP, True), (STAYS_UP, UP, False), (RISES_AND_FALLS, FLAT, False)],
)
def test_overoptimised_is_a_proxy_that_rises_over_a_gold_that_fell_by_a_fifth(gold, proxy, falls):
    assert run_summary(a_curve(gold, proxy=proxy)).overoptimised is falls


def test_four_of_five_seeds_must_fall_and_three_do_not_do():
    falling, steady = a_curve(RISES_AND_FALLS), a_curve(STAYS_UP)
    four = [noise(i, falling if i < 4 else steady) for i in range(5)]
    three = [noise(i, falling if i < 3 else steady) for i in range(5)]
    assert found(four, "falls").verdict == "met"
    assert found(three, "falls").verdict == "not met"
    assert found(three, "falls").measured.startswith("3 of 5 seeds")


def test_pessimism_is_met_from_half_of_the_mean_drop_on():
    half = a_curve((0.0, 0.0, 2.0, 3.0, 1.75, 1.25, 1.25))  # peak 2.25, end 1.25: drop 1
    single = a_curve(RISES_AND_FALLS)  # drop 1.5
    assert run_summary(half).drop == pytest.approx(1.0)
    assert (
        found([noise(1, single, uwo=half)], "pessimism").measured
        == "UWO, the better one, changes it by -33%"
    )
    assert found([noise(1, single, uwo=half)], "pessimism").verdict == "not met"
    same = found([noise(1, single, uwo=single)], "pessimism").measured
    assert same == "UWO, the better one, changes it by 0%"
    assert found([noise(1, single, uwo=a_curve(STAYS_UP))], "pessimism").verdict == "met"
    assert found([noise(1, a_curve(STAYS_UP))], "pessimism").verdict == "not measured"


def test_the_gate_is_judged_on_the_redraws_of_all_seeds_together():
    blocked = [noise(1, a_curve(UP), promoted=20), noise(2, a_curve(UP), promoted=0)]
    assert found(blocked, "blocks").verdict == "met"  # 380 of 400
    assert found(blocked[:1], "blocks").verdict == "not met"  # 180 of 200
    assert "by seed: 90.0%, 100.0%" in found(blocked, "blocks").measured
    clean = [a_result("clean", 1, trial=a_trial(159), single=a_curve(UP))]
    assert found(clean, "passes").verdict == "not met"
    clean = [a_result("clean", 1, trial=a_trial(160), single=a_curve(UP))]
    assert found(clean, "passes").verdict == "met"


def test_a_pair_of_equals_passes_in_five_percent_at_most_and_the_same_weights_differ_by_nothing():
    twins = [a_result("aa", 1, trial=a_trial(10, difference=0.0), single=a_curve(UP))]
    assert found(twins, "twins").verdict == "met"
    assert found(twins, "same_weights").verdict == "met"
    twins = [a_result("aa", 1, trial=a_trial(11, difference=1e-9), single=a_curve(UP))]
    assert found(twins, "twins").verdict == "not met"
    assert found(twins, "same_weights").verdict == "not met"


def test_what_was_not_run_is_not_measured_and_nothing_is_accepted_by_it():
    lines = acceptance([noise(i, a_curve(RISES_AND_FALLS)) for i in range(5)])
    assert {line.key for line in lines if line.verdict == "not measured"} >= {"gold", "passes"}
    assert not all_met(lines)


def test_a_bias_that_all_share_is_reported_and_decides_nothing():
    runs = {SINGLE: a_curve(RISES_AND_FALLS), UWO: a_curve(STAYS_UP)}
    line = found([a_result("bias", 1, trial=a_trial(100), **runs)], "bias")
    assert (line.verdict, line.required, line.word) == ("not met", False, "reported")
    assert line.measured.endswith("not as expected")


def test_early_stopping_keeps_the_shares_of_all_seeds_together():
    early = (0.0, 0.0, 3.0, 3.0, 3.0, 0.0, 0.0)  # highest where the gold is
    well, badly = a_curve(RISES_AND_FALLS, held_out=early), a_curve(RISES_AND_FALLS)
    assert found([noise(1, well)], "early_stop").verdict == "met"
    line = found([noise(1, well), noise(2, badly)], "early_stop")  # 2.0 and 0.5 of 2.0 each
    assert (line.verdict, line.measured.split(" (")[0]) == ("not met", "62% is kept")
