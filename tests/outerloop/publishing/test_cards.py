"""What a model that leaves says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from evaluation.facade import report_store
from outerloop.publishing.cards import card_of, story_of
from outerloop.rounds.models import PolicyLine, Round
from tests.evaluation.reports.records import PROMOTED
from training.facade import ModelVersionRecord


def judged(line: PolicyLine, version: ModelVersionRecord, field: str, **changes: Any) -> Round:
    """A closed round of the line that made the version, with a stored report."""
    made = {"incumbent": uuid4(), "plan": {}, "number": 7, "state": "CLOSED", field: version.id}
    round_ = Round.objects.create(line=line, **made)
    said = {"line_id": str(line.pk), "round_id": str(round_.pk), **changes}
    report_store(record=replace(PROMOTED, **said))
    return round_


def test_the_card_of_a_policy_says_the_verdict_and_what_each_check_measured(
    line: PolicyLine, version: ModelVersionRecord
) -> None:
    judged(line, version, "candidate")
    story = story_of(version)
    card = card_of(story)
    head, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(head) == {
        "library_name": "transformers",
        "tags": ["outerloop", "policy"],
    }
    assert PROMOTED.gate is not None
    assert PROMOTED.human is not None
    assert PROMOTED.human.win_rate is not None
    assert "Verdict of the gate: **PROMOTE**." in body
    assert f"{PROMOTED.human.win_rate.estimate:.0%}" in body
    for check in PROMOTED.gate.checks:
        assert f"| {check.name} |" in body
    assert version.sha256 in body
    assert str(version.id) in body
    assert PROMOTED.gate.evidence_sha256 in body
    assert "made by round 7" in body
    assert story.metrics()["win_rate"] == PROMOTED.human.win_rate.estimate
    assert story.tags()["outerloop.verdict"] == "PROMOTE"


def test_the_card_names_no_prompt_and_no_person(
    line: PolicyLine, version: ModelVersionRecord
) -> None:
    judged(line, version, "candidate")
    card = card_of(story_of(version))
    assert "Ada" not in card
    for sample in PROMOTED.samples:
        assert sample.candidate.text not in card
        assert all(message["content"] not in card for message in sample.messages)


@pytest.mark.parametrize("field", ["reward_model", "held_out_reward_model"])
def test_the_card_of_a_reward_model_says_how_often_it_is_right(
    line: PolicyLine, version: ModelVersionRecord, field: str
) -> None:
    version = replace(version, kind=field)
    judged(line, version, field)
    story = story_of(version)
    card = card_of(story)
    assert PROMOTED.reward_model is not None
    split = PROMOTED.reward_model.splits["test"]
    accuracy = split.accuracy if field == "reward_model" else split.held_out_accuracy
    assert accuracy is not None
    assert f"| test | {split.pairs} | {accuracy.estimate:.1%}" in card
    assert story.metrics()["accuracy_test"] == accuracy.estimate
    assert "Verdict" not in card


def test_a_model_that_no_round_made_says_so(version: ModelVersionRecord) -> None:
    card = card_of(story_of(version))
    assert "made by no round: it was brought in" in card
    assert "Nothing: no round has reported on it." in card


def test_simulated_annotators_are_said(line: PolicyLine, version: ModelVersionRecord) -> None:
    judged(line, version, "candidate", simulated=True)
    assert "no figure below is about people" in card_of(story_of(version))


def test_marks_in_names_are_letters(line: PolicyLine, version: ModelVersionRecord) -> None:
    named = replace(version, name="v7 | <img src=x> [a](b)")
    assert r"# v7 \| \<img src=x\> \[a\](b)" in card_of(story_of(named))


def test_the_run_that_made_it_is_named(
    line: PolicyLine, version: ModelVersionRecord, tmp_path: Path
) -> None:
    from training.runs.models import ModelVersion, Run
    from training.runs.services import run_create

    order = run_create(line_id=line.pk, kind="ppo", seed=1, config={}, inputs={})
    environment = {"commit": "0123456789ab", "packages": {"torch": "2.13.0", "outerloop": None}}
    Run.objects.filter(pk=order.id).update(manifest={"environment": environment})
    ModelVersion.objects.filter(pk=version.id).update(run=order.id)
    card = card_of(story_of(replace(version, run_id=order.id)))
    assert "| commit of Outerloop | 0123456789ab |" in card
    assert "| torch | 2.13.0 |" in card
    assert order.spec_sha256 in card
