"""A round whose candidate answers a share of the users first: nothing in the loop takes it for deployed."""

from __future__ import annotations

import pytest

from annotation import facade as annotation
from annotation.comparisons.models import Comparison
from evaluation import facade as evaluation
from evaluation.gates.canary_models import Canary
from evaluation.gates.services import canary_take_back
from outerloop.rounds.models import PolicyLine, State
from outerloop.rounds.record import record_refresh
from outerloop.rounds.services import round_start
from outerloop.rounds.tasks import sweep
from tests.outerloop.rounds.pages import text, url
from tests.outerloop.rounds.world import LoopWorld, advance_through, known, step_of
from web.models import AuditEvent


@pytest.fixture
def cautious(tmp_path, db, behave, evidence):
    """A line that deploys by itself, to a tenth of the users first."""
    return LoopWorld(tmp_path, fields={"deploys_by_itself": True, "canary_share": 10})


def test_a_round_ends_with_a_canary_and_the_deployed_policy_writes_the_next_pairs(cautious):
    round_ = advance_through(round_start(line=cautious.line, trigger="schedule"))
    assert round_.state == State.CLOSED
    canary = known(evaluation.canary_running(cautious.line.id))
    assert (canary.version_id, canary.share) == (round_.candidate, 10)
    assert cautious.deployed() == cautious.base.id
    note = round_.steps.get(name=State.DEPLOYING).note
    assert "answers 10% of the users; nothing is deployed until a lead widens it" in note
    assert "Signals are off on this line: nothing will be compared" in note
    pairs = Comparison.objects.filter(round_id=round_.id, purpose="training")
    written = {slot.completion.model_version for pair in pairs for slot in pair.slots.all()}
    assert written == {cautious.base.id}


def test_the_next_round_judges_against_what_is_deployed_and_waits_for_the_canary(cautious):
    advance_through(round_start(line=cautious.line, trigger="schedule"))
    cautious.label(3)
    second = advance_through(round_start(line=cautious.line, trigger="person", forced=True))
    assert second.incumbent == cautious.base.id
    assert second.state == State.DEPLOYING
    waits = "A canary is under way: a lead widens it or takes it back first."
    assert step_of(second).note == waits
    canary = known(evaluation.canary_running(cautious.line.id))
    canary_take_back(line_id=cautious.line.id, canary_id=canary.id, actor="ada")
    second = advance_through(second)
    assert second.state == State.CLOSED
    assert known(evaluation.canary_running(cautious.line.id)).round_id == second.id


def test_a_lead_chooses_the_share_when_approving(loop, as_, behave, evidence):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    assert round_.state == State.AWAITING_APPROVAL
    page = text(as_("lead").get(url("round", loop, round_.number)))
    assert "25% of the users first" in page
    assert "Signals are off on this line, so that nothing will be compared" in page
    record_refresh(round_)
    address = url("approve", loop, round_.number)
    wrong = {"approve": "1", "canary_share": "33"}
    assert "one of the offered shares" in text(as_("lead").post(address, wrong, follow=True))
    assert evaluation.approved_share(round_.id) is None
    right = {"approve": "1", "canary_share": "25"}
    page = text(as_("lead").post(address, right, follow=True))
    assert "the candidate answers 25% of the users first" in page
    assert "nothing will be compared" in page
    advance_through(round_)
    assert known(evaluation.canary_running(loop.line.id)).share == 25
    assert "answers 25% of the users" in text(as_("lead").get(url("line", loop)))


def test_everybody_at_once_overrides_the_setting_of_the_line(loop, as_, behave, evidence):
    PolicyLine.objects.filter(pk=loop.line.pk).update(canary_share=10)
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    as_("lead").post(url("approve", loop, round_.number), {"approve": "1", "canary_share": "0"})
    round_ = advance_through(round_)
    assert loop.deployed() == round_.candidate
    assert not Canary.objects.exists()


def test_the_report_of_a_widened_canary_says_what_is_deployed(cautious):
    round_ = advance_through(round_start(line=cautious.line, trigger="schedule"))
    sweep()
    assert not known(evaluation.report_get(round_.id)).deployments
    evaluation.deployment_start(  # what widening does
        line_id=cautious.line.id, version_id=known(round_.candidate), kind="deploy",
        round_id=round_.id, actor="ada",
    )  # fmt: skip
    sweep()
    (moved,) = known(evaluation.report_get(round_.id)).deployments
    assert moved.by == "ada"


def test_a_lead_sets_whom_promoted_policies_answer_first(loop, as_):
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    rule = {"promotions": "wait", "release_gate_labels": "enough", "canary_share": "10"}
    page = text(as_("lead").post(url("promotions", loop), rule, follow=True))
    assert "and answer 10% of the users first" in page
    (event,) = AuditEvent.objects.filter(verb="changed whom promoted policies answer first")
    assert event.detail == {"canary_share": 10}
