"""Letting a refused candidate through: two leads, a reason, and then the same deployment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from evaluation import facade as evaluation
from evaluation.contracts import IntegrityFact, Interval
from outerloop.rounds import overriding
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.models import State
from outerloop.rounds.services import round_start
from tests.evaluation.policy.evidence import POLICY
from tests.outerloop.rounds.world import advance_through, known
from tests.support.people import person_create
from web.models import Notice

REASON = "The long answers are what this customer asked for."
TOO_LONG = {"policy": replace(POLICY, length_ratio=Interval(1.6, 1.5, 1.7, 0.95, 400))}


@pytest.fixture
def leads(loop):
    return [person_create(name, "lead", line=loop.line.id) for name in ("lea", "leo")]


@pytest.fixture
def refused(loop, behave, evidence):
    """A closed round whose candidate only its length held back."""
    evidence.changes = TOO_LONG
    return advance_through(round_start(line=loop.line, trigger="person"))


def ask(round_, lead, check):
    return evaluation.override_request(
        round_id=round_.id,
        check_id=check,
        reason=REASON,
        actor=lead,
        expires_at=timezone.now() + timedelta(days=7),
    )


def test_what_may_be_overridden_is_what_held_it_back(refused):
    ((check, name),) = overriding.overridable_checks(refused)
    assert name.startswith(f"{check} ")
    assert "length" in name.lower()


def test_broken_integrity_may_never_be_overridden(loop, behave, evidence):
    evidence.changes = {"integrity": (IntegrityFact("artifact_hashes", False, "x differs"),)}
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    assert round_.verdict == "REJECT"
    assert overriding.overridable_checks(round_) == []


def test_a_round_without_a_decision_has_nothing_to_override(loop):
    assert overriding.overridable_checks(loop.round(State.AWAITING_LABELS)) == []


def test_the_second_lead_s_yes_deploys_the_candidate(loop, refused, leads):
    ((check, _),) = overriding.overridable_checks(refused)
    asked = ask(refused, leads[0], check)
    assert loop.deployed() == loop.base.id
    with pytest.raises(evaluation.GateError, match="two different leads"):
        overriding.override_confirm(round_=refused, override_id=asked.id, actor=leads[0])
    said = overriding.override_confirm(round_=refused, override_id=asked.id, actor=leads[1])
    assert said == "The override is confirmed and policy v2 is deployed."
    assert loop.deployed() == refused.candidate
    assert known(evaluation.deployment_current(loop.line.id)).reason == "override by two leads"
    assert overriding.overridable_checks(refused) == []


def test_one_of_two_checks_let_through_is_not_enough(loop, behave, evidence, leads):
    evidence.changes = {
        "policy": replace(
            TOO_LONG["policy"], diversity={"distinct_2": Interval(0.3, 0.2, 0.4, 0.95, 400)}
        )
    }
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    checks = [check for check, _ in overriding.overridable_checks(round_)]
    assert len(checks) == 2
    asked = ask(round_, leads[0], checks[0])
    said = overriding.override_confirm(round_=round_, override_id=asked.id, actor=leads[1])
    assert said == "The override is confirmed; the gate still says REJECT."
    assert loop.deployed() == loop.base.id


def test_an_override_comes_too_late_when_another_policy_is_deployed(
    loop, refused, leads, evidence, tmp_path
):
    ((check, _),) = overriding.overridable_checks(refused)
    asked = ask(refused, leads[0], check)
    evidence.changes = {}
    later = advance_through(round_start(line=loop.line, trigger="person", forced=True))
    evaluation.approval_record(round_id=later.id, actor=leads[0], approve=True, reason="")
    advance_through(later)
    assert loop.deployed() == later.candidate
    with pytest.raises(RoundRefused, match="another policy was deployed meanwhile"):
        overriding.override_confirm(round_=refused, override_id=asked.id, actor=leads[1])
    assert loop.deployed() == later.candidate


def test_the_other_leads_are_told(loop, refused, leads):
    person_create("ann", "annotator", line=loop.line.id)
    ((check, _),) = overriding.overridable_checks(refused)
    ask(refused, leads[0], check)
    overriding.second_lead_tell(refused, by=leads[0])
    (notice,) = Notice.objects.all()
    assert notice.user == leads[1]
    assert "lea asks you to confirm an override" in notice.text
