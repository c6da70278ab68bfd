"""Simulated training runs, for the guardrails that watch them: the mismatch meter and the KL optimum.

Rises and noise are those of the demo's PPO runs: a rise of the held-out reward by half a standard
deviation over 15 policies, each measured on 256 replies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.contracts import (
    CheckpointRewards,
    GateMeasurements,
    GatePolicySettings,
    Interval,
    KlOptimum,
    PolicyMeasurements,
)
from evaluation.gates.mismatch import reward_mismatch
from evaluation.policy import CHECKS, DEFAULT_CHECKS
from evaluation.statistics.curves import RunCurve, gao_law, pooled_optimum
from evaluation.statistics.intervals import FloatArray

SETTINGS = GatePolicySettings()
PROMPTS = 384


@dataclass(frozen=True)
class CurveCase:
    """Runs of `checkpoints` policies whose held-out reward rises by `up` z to the `peak` (share of the
    run) and falls by as much after it; the training reward rises by `up` all the way.

    Each measurement is off by noise of `own` z, and by `shared` that both rewards have in common, as
    they score the same replies. `walk`: two random walks instead.
    """

    name: str
    better: bool
    checkpoints: int = 15
    up: float = 0.5
    peak: float = 1.0
    own: float = 0.04
    shared: float = 0.04
    walk: bool = False


CURVES = (
    CurveCase("two random walks, 15 checkpoints", True, walk=True),
    CurveCase("both rise, 15 checkpoints", True),
    CurveCase("both rise, noise of their own alone", True, own=0.06, shared=0.0),
    CurveCase("both rise and level off half way", True, up=0.25),
    CurveCase("held-out falls from half way, 15", False, peak=0.5),
    CurveCase("held-out falls from half way, 15, quiet", False, peak=0.5, own=0.01, shared=0.01),
    CurveCase("held-out falls from half way, 30", False, 30, up=1.0, peak=0.5),
    CurveCase("held-out falls all along, 15, quiet", False, peak=0.0, own=0.01, shared=0.01),
)


def mismatch_warns(case: CurveCase, draws: int, seed: int) -> list[bool]:
    rng = np.random.default_rng(seed)
    return [_mismatched(*_curves(rng, case)) for _ in range(draws)]


def _curves(rng: np.random.Generator, case: CurveCase) -> tuple[FloatArray, FloatArray]:
    """Training and held-out reward, [checkpoints] each."""
    if case.walk:
        first, second = rng.normal(0, 1, (2, case.checkpoints)).cumsum(1)
        return first, second
    done = np.linspace(0, 1, case.checkpoints)
    both = rng.normal(0, case.shared, case.checkpoints)
    noise = rng.normal(0, case.own, (2, case.checkpoints)) + both
    held_out = case.up * np.where(done <= case.peak, done, 2 * case.peak - done)
    return case.up * done + noise[0], held_out + noise[1]


def _mismatched(train: FloatArray, held_out: FloatArray) -> bool:
    points = tuple(
        CheckpointRewards(at, float(a), float(b))
        for at, (a, b) in enumerate(zip(train, held_out, strict=True))
    )
    found = GateMeasurements("c", "i", mismatch=reward_mismatch(points))
    status = CHECKS["G7"].decide(found, SETTINGS, DEFAULT_CHECKS["G7"].thresholds).status
    return status == "FAIL"


@dataclass(frozen=True)
class LawCase:
    """`rounds` earlier runs of 15 policies whose held-out reward follows Gao's law with its optimum at
    `optimum` nats, up to `upto` nats; the gain at the optimum is 0.5 z. The candidate is at `candidate`."""

    name: str
    better: bool
    optimum: float
    upto: float
    candidate: float
    rounds: int = 3
    noise: float = 0.06


LAWS = (
    LawCase("still rising: optimum at twice the range", True, 9.0, 4.5, 4.5),
    LawCase("optimum where the runs end", True, 4.5, 4.5, 4.4),
    LawCase("optimum where one run ends", True, 4.5, 4.5, 4.4, rounds=1),
    LawCase("candidate at half the optimum that was passed", True, 4.0, 9.0, 2.0),
    LawCase("candidate at twice the optimum that was passed", False, 4.0, 9.0, 8.0),
    LawCase("the same after one round", False, 4.0, 9.0, 8.0, rounds=1),
    LawCase("the same after ten rounds", False, 4.0, 9.0, 8.0, rounds=10),
)


def forecast_holds(case: LawCase, draws: int, seed: int) -> list[bool]:
    rng = np.random.default_rng(seed)
    return [_held(rng, case) for _ in range(draws)]


def _held(rng: np.random.Generator, case: LawCase) -> bool:
    kl = np.linspace(0, case.upto, 15)
    # d (alpha - beta log d) is highest at log d = alpha / beta - 1, and beta d there
    best = np.sqrt(case.optimum)
    beta = 0.5 / best
    law = gao_law(kl, beta * (1 + np.log(best)), beta, "rl")
    runs = [RunCurve(kl, law + rng.normal(0, case.noise, 15)) for _ in range(case.rounds)]
    nats = pooled_optimum(runs)
    at = Interval(case.candidate, case.candidate, case.candidate, 0.95, PROMPTS)
    policy = PolicyMeasurements(
        prompts=PROMPTS, groups=PROMPTS, train_gain=at, held_out_gain=at, kl={"reference": at},
        length_ratio=at, length_free_share=None, diversity={},
    )  # fmt: skip
    found = GateMeasurements(
        "c", "i", policy=policy,
        kl_optimum=None if nats is None else KlOptimum(nats, tuple(range(1, case.rounds + 1))),
    )  # fmt: skip
    return CHECKS["G4"].decide(found, SETTINGS, DEFAULT_CHECKS["G4"].thresholds).status == "FAIL"
