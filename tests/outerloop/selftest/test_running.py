"""One arm after another: what is finished is kept, what another gate or code found is found anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation import facade as evaluation
from evaluation.contracts import GatePolicySettings
from outerloop.selftest import running
from outerloop.selftest.code import code_digest
from outerloop.selftest.results import ArmResult, policies_tested
from outerloop.selftest.running import Order, seeds_from, selftest_run
from tests.outerloop.selftest.tiny import TINY, order


class Killed(Exception):
    """The process ended in the middle."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every (arm, seed) that was carried out; the third one is killed, once."""
    seen: list[tuple[str, int]] = []

    def arm_run(world: Any, arm: Any, asked: Order) -> ArmResult:
        seen.append((arm.name, world.seed))
        if len(seen) == 3:
            raise Killed
        return ArmResult(
            arm=arm.name,
            seed=world.seed,
            plan=asked.plan(arm),
            gate=asked.gate_digest,
            policy=asked.policy,
            policy_version=0,
            made_at="2026-11-29T06:00:00+00:00",
            code=code_digest(),
            commit="",
            seconds=1.0,
            accuracy=None,
            runs={},
        )

    monkeypatch.setattr(running, "arm_run", arm_run)
    return seen


def run(asked: Order) -> list[tuple[str, int, bool]]:
    return [(r.arm, r.seed, known) for r, known in selftest_run(asked, lambda _: None)]


def test_a_killed_run_goes_on_with_what_was_not_finished(tmp_path: Path, made) -> None:
    asked = order(tmp_path, "noise", "gold", seeds=(1, 2))
    with pytest.raises(Killed):
        run(asked)
    assert made == [("noise", 1), ("gold", 1), ("noise", 2)]
    done = run(asked)
    assert done == [("noise", 1, True), ("gold", 1, True), ("noise", 2, False), ("gold", 2, False)]
    assert made[3:] == [("noise", 2), ("gold", 2)]
    assert all(known for *_, known in run(asked))


def test_another_gate_policy_other_sizes_or_other_code_are_run_anew(
    tmp_path: Path, made, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = order(tmp_path, "noise")
    run(asked)
    stricter = evaluation.GateInForce(GatePolicySettings(alpha=0.01), version=1)
    assert run(replace(asked, gate=stricter)) == [("noise", 1, False)]
    made.clear()
    assert run(replace(asked, gate=stricter)) == [("noise", 1, True)]
    assert run(replace(asked, gate=stricter, sizes=replace(TINY, redraws=5))) == [
        ("noise", 1, False)
    ]
    made.clear()
    monkeypatch.setattr(running, "code_digest", lambda: "another")
    assert run(replace(asked, gate=stricter, sizes=replace(TINY, redraws=5)))[0][2] is False


def test_the_results_of_a_line_stand_apart_from_the_defaults(tmp_path: Path, made) -> None:
    run(order(tmp_path, "noise"))
    run(order(tmp_path, "noise", policy="desk"))
    assert made == [("noise", 1), ("noise", 1)]
    assert policies_tested(tmp_path) == ["", "desk"]


def test_a_torn_result_is_none(tmp_path: Path, made) -> None:
    asked = order(tmp_path, "noise")
    run(asked)
    (path,) = asked.store.directory.glob("*.json")
    path.write_text(path.read_text()[:-20])
    assert asked.store.all() == []
    assert run(asked) == [("noise", 1, False)]


def test_the_seeds_that_count_are_none_of_those_thrown_away() -> None:
    assert seeds_from(3) == (301, 302, 303)
    assert max(seeds_from(500)) < 900


def test_an_arm_from_the_first_policy_to_the_gate(tmp_path: Path) -> None:
    """The recipes themselves, at a size at which nothing is learned."""
    (result, known), *more = selftest_run(order(tmp_path, "aa"), lambda _: None)
    assert (known, more) == (False, [])
    trial = result.trial
    assert trial is not None
    assert trial.identical_difference == 0.0
    assert trial.promoted == 0
    assert trial.promoted + trial.rejected + trial.inconclusive == trial.redraws == TINY.redraws
    assert trial.shown_win_rate == 0.5
    curve = result.runs["single"]
    assert len(curve.gold) == len(curve.proxy) == len(curve.held_out) == TINY.ppo.updates + 1
