"""One arm of one seed from beginning to end, and all that are asked for, one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from evaluation import facade as evaluation
from outerloop.selftest.bench import Bench, Told
from outerloop.selftest.code import code_digest
from outerloop.selftest.learning import RewardModels, World, curve_of, ppo_run, reward_models
from outerloop.selftest.results import ArmResult, Curve, ResultStore, TrialResult
from outerloop.selftest.sizes import ORDINARY, SINGLE, Arm, Sizes
from outerloop.selftest.trials import (
    Candidate,
    candidate_measure,
    identical_difference,
    trial_run,
)
from training.checkout import commit
from training.contracts import json_sha256

FIRST_SEED = 301
"""Seeds that count go up from here; those from 900 on were thrown away when the sizes were chosen."""


@dataclass(frozen=True)
class Order:
    """What is to be found out. `policy` is the slug of a line, or empty for the installation's default."""

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    policy: str
    gate: evaluation.GateInForce
    root: Path
    sizes: Sizes = ORDINARY

    @property
    def store(self) -> ResultStore:
        return ResultStore(self.root, self.policy)

    @property
    def gate_digest(self) -> str:
        return json_sha256([asdict(self.gate), self.gate.settings.to_json()])[:16]

    def plan(self, arm: Arm) -> str:
        return plan_digest(arm, self.sizes)

    def pieces(self) -> list[tuple[Arm, int]]:
        """Seed by seed, since the arms of a seed share what they begin with."""
        return [(arm, seed) for seed in self.seeds for arm in self.arms]

    def known(self, arm: Arm, seed: int) -> ArmResult | None:
        """What this very code found before, of the same arm at the same sizes before the same gate."""
        found = self.store.read(arm.name, seed)
        wanted = (self.plan(arm), self.gate_digest, code_digest())
        same = found is not None and (found.plan, found.gate, found.code) == wanted
        return found if same else None


def plan_digest(arm: Arm, sizes: Sizes) -> str:
    return json_sha256([asdict(arm), asdict(sizes)])[:16]


def selftest_run(order: Order, tell: Told) -> Iterator[tuple[ArmResult, bool]]:
    """Each result as it comes, and whether it was known before. Raises `LearningFailed`."""
    for arm, seed in order.pieces():
        found = order.known(arm, seed)
        if found is not None:
            yield found, True
            continue
        with Bench(order.root / "runs" / code_digest() / str(seed), tell) as bench:
            result = arm_run(World(bench, seed, order.sizes), arm, order)
        order.store.write(result)
        yield result, False


def arm_run(world: World, arm: Arm, order: Order) -> ArmResult:
    began = time.monotonic()
    models = reward_models(world, arm)
    runs: dict[str, Curve] = {}
    candidate: Candidate | None = None
    for name in arm.runs:
        run = ppo_run(world, arm, name, models)
        runs[name] = curve_of(run)
        if name == SINGLE and models is not None:
            candidate = candidate_measure(world, models, run)
    trial = _trial(world, arm, order.gate, models, candidate)
    return ArmResult(
        arm=arm.name,
        seed=world.seed,
        plan=order.plan(arm),
        gate=order.gate_digest,
        policy=order.policy,
        policy_version=order.gate.version,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        code=code_digest(),
        commit=commit(),
        seconds=round(time.monotonic() - began, 1),
        accuracy=_accuracy(candidate),
        runs=runs,
        trial=trial,
    )


def _trial(
    world: World,
    arm: Arm,
    gate: evaluation.GateInForce,
    models: RewardModels | None,
    candidate: Candidate | None,
) -> TrialResult | None:
    if not arm.trial or candidate is None or models is None:
        return None
    difference = identical_difference(world, models) if arm.trial == "twin" else None
    told = _every(20, lambda n: world.bench.tell(f"gate, redraw {n} of {world.sizes.redraws}"))
    found = trial_run(world, arm, candidate, gate, told)
    return TrialResult(**{**asdict(found), "identical_difference": difference})


def _every(step: int, tell: Callable[[int], None]) -> Callable[[int], None]:
    return lambda n: tell(n) if n % step == 0 else None


def _accuracy(candidate: Candidate | None) -> float | None:
    split = candidate.reward.split("test", "validation") if candidate else None
    return split.accuracy.estimate if split else None


def seeds_from(count: int) -> tuple[int, ...]:
    return tuple(range(FIRST_SEED, FIRST_SEED + count))
