"""The command's door: bad arguments are named with what there is, Ctrl-C is a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from evaluation.contracts import GatePolicySettings
from evaluation.gates.models import GatePolicy
from outerloop.processes.sharing import SharedLock
from outerloop.rounds.models import PolicyLine
from outerloop.selftest.bench import LearningFailed
from outerloop.selftest.management.commands import selftest
from outerloop.selftest.management.commands.selftest import order_from
from outerloop.selftest.sizes import ARMS
from tests.outerloop.selftest.worlds import RISES_AND_FALLS, a_curve, a_result, noise

pytestmark = pytest.mark.django_db


def options(**changed: Any) -> dict[str, Any]:
    return {"test": "overoptimisation", "arm": [], "seeds": 5, "line": "", **changed}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"arm": ["noise", "nosie"]}, "There is no arm 'nosie'; there are: noise, bias, gold,"),
        ({"seeds": 0}, "--seeds is 0; ask for 1 or more."),
        ({"seeds": -3}, "--seeds is -3;"),
        ({"line": "desk"}, "There is no line 'desk'; there are: none yet."),
        ({"test": "underfitting"}, "There is no self-test 'underfitting'; there is: overoptimis"),
    ],
)
def test_a_bad_argument_is_named_with_what_there_is(changed: Any, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        order_from(options(**changed))


def test_all_arms_or_those_that_are_named() -> None:
    assert [arm.name for arm in order_from(options()).arms] == list(ARMS)
    chosen = order_from(options(arm=["clean", "noise", "noise"], seeds=2))
    assert [(arm.name, seed) for arm, seed in chosen.pieces()] == [
        ("noise", 301),
        ("clean", 301),
        ("noise", 302),
        ("clean", 302),
    ]


def test_the_policy_of_a_line_is_what_is_tested() -> None:
    line = PolicyLine.objects.create(slug="desk", name="Desk")
    GatePolicy.objects.create(
        line=line.id, version=1, settings=GatePolicySettings(max_labels=77).to_json()
    )
    asked = order_from(options(line="desk"))
    assert (asked.policy, asked.gate.version, asked.gate.settings.max_labels) == ("desk", 1, 77)
    assert order_from(options()).gate.settings.max_labels == 1000


@pytest.fixture
def place(settings: Any, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


def scripted(monkeypatch: pytest.MonkeyPatch, *steps: Any) -> None:
    """`selftest_run` yields these results, or raises these errors."""

    def run(order: Any, tell: Any) -> Iterator[tuple[Any, bool]]:
        for step in steps:
            if isinstance(step, BaseException | type):
                raise step
            tell("ppo")
            yield step, False

    monkeypatch.setattr(selftest, "selftest_run", run)


def test_ctrl_c_is_a_sentence_and_what_is_finished_is_kept(place, monkeypatch, capsys) -> None:
    scripted(monkeypatch, a_result("gold", 1, single=a_curve(RISES_AND_FALLS)), KeyboardInterrupt)
    with pytest.raises(SystemExit) as ending:
        call_command("selftest", "overoptimisation", "--arm", "gold", "--seeds", "2")
    assert ending.value.code == 130
    said = " ".join(capsys.readouterr().out.split())
    assert "1/2 gold, seed 1 (60 s): proxy +4.50, gold peak +2.00, at the end +0.50" in said
    assert "1/2 gold, seed 301: ppo 1/2 gold" in said  # what is done is said before its result
    assert "Stopped after 1 of 2. What is finished is kept; the same command goes on" in said


def test_a_failure_is_a_sentence(place, monkeypatch) -> None:
    scripted(monkeypatch, LearningFailed("The self-test's program 'ppo' failed: it is so."))
    with pytest.raises(CommandError, match=r"it is so\. What is finished is kept"):
        call_command("selftest", "overoptimisation")


def test_two_do_not_run_at_once(place, monkeypatch) -> None:
    lock = SharedLock("selftest")
    assert lock.take()
    try:
        with pytest.raises(CommandError, match="A self-test runs already"):
            call_command("selftest", "overoptimisation")
    finally:
        lock.release()


def test_the_acceptance_lines_are_printed(place, monkeypatch, capsys) -> None:
    scripted(monkeypatch, noise(1, a_curve(RISES_AND_FALLS)))
    call_command("selftest", "overoptimisation", "--arm", "noise", "--seeds", "1")
    said = capsys.readouterr().out
    assert "not measured" in said
    assert "/selftest/" in said
