"""Retention at its sharpest leaves all that a decision rests on, and so does moving the store."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from evaluation.gates.measuring import round_measure
from evaluation.gates.selectors import decision_require, gate_test
from evaluation.gates.services import decisions
from evaluation.policy import gate_decide
from outerloop.operations.retention import Rule, retention_carry_out
from outerloop.rounds.models import Round
from outerloop.rounds.record import record_build
from outerloop.rounds.runs import judged_round
from outerloop.rounds.services import round_start
from tests.outerloop.rounds.world import Evidence, LoopWorld, advance_through
from tests.support.fake_runs import fake_programs
from training import facade as training
from training.runs import reproducing

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
SHARPEST = Rule(rounds=1, days=0)
FULL_DISK = {"fail": "The disk is full."}
ROUNDS: dict[str, dict[str, Any]] = {
    "promoted": {},
    "reward model refused": {"accuracy": [0.5, 0.4, 0.6]},
    "failed": FULL_DISK,
    "the last": FULL_DISK,
}


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(
        reproducing,
        "launch_command",
        lambda kind, spec, token: [
            *(sys.executable, "-m", "tests.support.fake_recipe", str(spec), "--token", str(token))
        ],
    )
    return fake_programs(monkeypatch)


@pytest.fixture
def history(
    store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, behave: Callable[..., None]
) -> dict[str, Round]:
    """A line whose rounds ended in every way, each through the real steps and real child processes."""
    monkeypatch.setattr(decisions, "round_measure", Evidence())
    loop = LoopWorld(tmp_path, fields={"deploys_by_itself": True})
    rounds = {}
    for name, behaviour in ROUNDS.items():
        behave(**behaviour)
        rounds[name] = advance_through(round_start(line=loop.line, trigger="person"))
        loop.label(loop.labels)
    assert [round_.state for round_ in rounds.values()] == ["CLOSED", "CLOSED", "FAILED", "FAILED"]
    assert [round_.verdict for round_ in rounds.values()] == ["PROMOTE", "REJECT", "", ""]
    return rounds


@pytest.fixture(params=["where it was", "in another folder"])
def carried_out(
    request: pytest.FixtureRequest, history: dict[str, Round], store: Path, settings: Any
) -> dict[str, Round]:
    """Retention done; in the second case the store then lies elsewhere, as after a restore."""
    before = {name: record_build(round_) for name, round_ in history.items()}
    plan = retention_carry_out(rule=SHARPEST, actor="test")
    gone = {str(run.id) for run in training.runs_of_round(history["failed"].id)}
    assert {Path(item.path).name for item in plan.artifacts if item.kind == "results"} == gone
    if request.param == "in another folder":
        settings.ARTIFACT_ROOT = store.rename(store.with_name("elsewhere"))
    assert {name: record_build(round_) for name, round_ in history.items()} == before
    return history


def test_reports_verdicts_and_programs_of_decided_rounds_can_be_had_again(
    carried_out: dict[str, Round],
    behave: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    promoted = carried_out["promoted"]
    decision = decision_require(promoted.id)
    assert gate_decide(decision.evidence, decision.gate_settings) == decision.gate
    test = gate_test(promoted.id)
    assert test is not None
    measured = round_measure(judged_round(promoted), test)
    assert [fact.ok for fact in measured.integrity] == [True] * 4
    for name in ("promoted", "reward model refused"):
        behave(**ROUNDS[name])
        call_command("reproduce", promoted.line.slug, str(carried_out[name].number))
        assert "Every artifact has the same bytes as then." in capsys.readouterr().out
    inputs = {item.path for item in training.artifacts_stored() if item.name.startswith("input ")}
    assert (
        f"rounds/{promoted.id}/evaluation-prompts-4.jsonl" in inputs
    )  # the next backup has it too
