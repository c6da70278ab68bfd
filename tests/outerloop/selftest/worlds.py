"""Results drawn by hand: curves, trials, and a folder of what a self-test leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from outerloop.selftest.results import ArmResult, Curve, ResultStore, TrialResult
from outerloop.selftest.running import plan_digest
from outerloop.selftest.sizes import ARMS, ORDINARY, SINGLE, UWO, WCO

FLAT = (0.0,) * 7
# Means over three neighbours (two at the ends): gold 0, 0.67, 1.67, 2, 1.33, 0.67, 0.5; at the end 0.5
RISES_AND_FALLS = (0.0, 0.0, 2.0, 3.0, 1.0, 0.0, 1.0)
STAYS_UP = (0.0, 0.0, 2.0, 3.0, 3.0, 3.0, 3.0)
UP = (0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


def a_curve(
    gold: tuple[float, ...], held_out: tuple[float, ...] = UP, proxy: tuple[float, ...] = UP
) -> Curve:
    return Curve(kl=UP, proxy=proxy, held_out=held_out, gold=gold)


def a_trial(promoted: int, redraws: int = 200, difference: float | None = None) -> TrialResult:
    return TrialResult(
        redraws=redraws,
        promoted=promoted,
        rejected=redraws - promoted,
        inconclusive=0,
        labels=400.0,
        gold_win_rate=0.4,
        label_win_rate=0.4,
        shown_win_rate=0.4,
        held_by={"G1": redraws - promoted},
        identical_difference=difference,
    )


def a_result(arm: str, seed: int, *, trial: TrialResult | None = None, **runs: Curve) -> ArmResult:
    return ArmResult(
        arm=arm,
        seed=seed,
        plan="p",
        gate="g",
        policy="",
        policy_version=0,
        made_at=f"2026-11-29T06:0{seed}:00+00:00",
        code="c",
        commit="",
        seconds=60.0,
        accuracy=0.7,
        runs=runs,
        trial=trial,
    )


def noise(seed: int, single: Curve, *, promoted: int = 0, uwo: Curve | None = None) -> ArmResult:
    other = uwo or single
    runs = {SINGLE: single, UWO: other, WCO: single}
    return a_result("noise", seed, trial=a_trial(promoted), **runs)


def selftest_fill(place: Path, policy: str = "", *, plan: str = "") -> None:
    """Two seeds of the arm "noise" and one of A/A."""
    found = [noise(seed, a_curve(RISES_AND_FALLS), promoted=1) for seed in (1, 2)]
    found.append(a_result("aa", 1, trial=a_trial(3, difference=0.0), single=a_curve(STAYS_UP)))
    for result in found:
        digest = plan or plan_digest(ARMS[result.arm], ORDINARY)
        ResultStore(place, policy).write(replace(result, plan=digest, policy=policy))
