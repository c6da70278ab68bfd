"""The pages of lines and rounds, as the people who may and may not see them."""

from __future__ import annotations

import json
import re

import pytest
from django.urls import reverse

from evaluation import facade as evaluation
from outerloop.rounds import claims
from outerloop.rounds.mending import round_take_up
from outerloop.rounds.models import PolicyLine, State
from outerloop.rounds.record import record_refresh
from outerloop.rounds.services import round_advance, round_start
from outerloop.rounds.steps import StepFailed, context
from tests.outerloop.rounds.pages import said, text, url
from tests.outerloop.rounds.test_overriding import REASON, TOO_LONG
from tests.outerloop.rounds.world import advance_through, step_of
from training import facade as training
from web.models import Notice


def test_a_line_that_collects_says_what_is_missing(as_, loop):
    loop.line.minimum_fresh_labels = 10
    loop.line.save()
    page = text(as_("engineer").get(url("line", loop)))
    assert "A round can start once 10 new ones are in." in page
    assert "3 of 10" in page
    assert "<strong>base policy</strong>" in page
    assert "the policy server has not answered with it yet" in page
    assert "No round has run yet." in page
    assert "not scheduled" in page
    assert "simulated annotators" not in page
    assert 'hx-trigger="every 10s"' in page  # labels come, and a night may start a round


def test_a_line_lists_rounds_and_skipped_starts(as_, loop):
    loop.round(State.CLOSED, verdict="REJECT", summary="Replies grew too long.", title="first")
    loop.round(State.AWAITING_LABELS)
    as_("engineer").post(url("start", loop))
    page = text(as_("engineer").get(url("line", loop)))
    assert "Round 2 is under way" in page
    assert "Replies grew too long." in page
    assert "Starts that were skipped" in page
    assert "Round 2 is still active (waiting for labels)." in page
    assert 'hx-trigger="every 3s"' in page
    assert "Waiting for labels" in page


def test_a_simulated_line_says_so_wherever_it_is_named(as_, loop):
    PolicyLine.objects.filter(pk=loop.line.pk).update(simulated=True)
    for page in (url("line", loop), reverse("rounds:lines")):
        assert "simulated annotators" in text(as_("lead").get(page))


def test_the_dry_run_changes_nothing_and_says_what_would_happen(as_, loop):
    page = text(as_("lead").get(url("dry_run", loop)))
    assert "A round would start now" in page
    assert "<dt>Labels for the gate</dt><dd>1,000 at most</dd>" in page
    loop.round(State.DECIDED)
    page = text(as_("lead").get(url("dry_run", loop)))
    assert "No round would start now" in page
    assert "Round 1 is still active (decided)." in page
    assert loop.line.rounds.count() == 1
    assert not loop.line.start_attempts.exists()


def test_a_running_round_shows_progress_charts_figures_and_log(as_, loop, behave):
    pages = []
    round_ = round_start(line=loop.line, trigger="person")
    round_advance(round_id=round_.id)

    def look(step, *, progress, original=claims.step_progress, **said):
        original(step, progress=progress, **said)
        if progress == 2:
            pages.append(text(as_("engineer").get(url("round", loop, 1))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "step_progress", look)
        round_advance(round_id=round_.id)
    page = pages[-1]
    running = page.split('id="step-REWARD_TRAINING"')[1].split("</li>\n")[0]
    assert re.search(r"<dt>Reward</dt><dd>0\.[23]</dd>", running)  # the newest event's
    assert "attempt with token 1 goes on from update 0" in running
    assert re.search(r"Update, [23] of 3", running)
    assert 'hx-trigger="every 2s"' in page
    assert page.index("Training the policy") > page.index('id="step-REWARD_TRAINING"')


def test_a_finished_step_says_what_it_read_and_wrote(as_, loop, behave):
    round_ = round_start(line=loop.line, trigger="person")
    advance_through(round_, upto=State.REWARD_EVALUATION)
    snapshot = step_of(round_, State.SNAPSHOT).wrote[0]
    page = text(as_("engineer").get(url("round", loop, 1)))
    assert f"wrote <code>{snapshot}</code>" in page
    assert "3 preferences" in page
    assert "Cancel round" in page


def test_a_failed_round_says_why_and_who_may_take_it_up(as_, loop, steps):
    steps.outcomes[State.SNAPSHOT] = StepFailed("There are <no> labels.")
    round_advance(round_id=loop.round().id)
    page = text(as_("engineer").get(url("round", loop, 1)))
    assert "There are &lt;no&gt; labels." in page
    assert "stopped here" in page
    assert "Take up again" in page
    assert "Cancel round" not in page
    assert "Take up again" not in text(as_("lead").get(url("round", loop, 1)))


# -------------------------------------------------------------------------- acting


def test_an_engineer_starts_a_round(as_, loop, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        response = as_("engineer").post(url("start", loop), follow=True)
    assert said(response) == ["Round 1 has started."]
    assert response.redirect_chain[-1][0] == url("round", loop, 1)
    assert loop.line.rounds.get().started_by.username == "eve"
    assert [queue for _, queue in sent] == ["default"]


def test_a_start_that_is_refused_says_why(as_, loop):
    loop.line.minimum_fresh_labels = 9
    loop.line.save()
    response = as_("engineer").post(url("start", loop), follow=True)
    (message,) = said(response)
    assert message.startswith("No round was started: 3 new labels")
    assert as_("engineer").post(url("start", loop), {"forced": "1"}).status_code == 302
    assert loop.line.rounds.count() == 1


def test_a_candidate_that_labels_left_open_is_judged_again_at_a_press(as_, loop, monkeypatch):
    candidate = loop.base.id
    loop.round(State.CLOSED, candidate=candidate, verdict="REJECT")
    button = "Judge its candidate again"
    assert button not in text(as_("engineer").get(url("round", loop, 1)))
    monkeypatch.setattr(evaluation, "candidate_unresolved", lambda line_id: candidate)
    assert button in text(as_("engineer").get(url("round", loop, 1)))
    assert button not in text(as_("lead").get(url("round", loop, 1)))
    asked = {"forced": "1", "again": "1"}
    response = as_("engineer").post(url("start", loop), asked, follow=True)
    assert said(response) == ["Round 2 has started."]
    assert loop.line.rounds.get(number=2).plan["candidate"] == "again"
    assert loop.line.plan["candidate"] == "trained"  # for this round alone
    assert button not in text(as_("engineer").get(url("round", loop, 1)))


def test_cancelling_and_taking_up(as_, loop, sent, steps, django_capture_on_commit_callbacks):
    round_ = loop.round(State.POLICY_TRAINING)
    with django_capture_on_commit_callbacks(execute=True):
        response = as_("lead").post(url("cancel", loop, 1), follow=True)
    assert said(response) == ["Round 1 is being cancelled; what it made so far is kept."]
    round_advance(round_id=round_.id)
    with django_capture_on_commit_callbacks(execute=True):
        response = as_("engineer").post(url("take_up", loop, 1), follow=True)
    assert said(response) == ["Round 1 goes on where it stopped."]
    assert sent == [(str(round_.id), "gpu")] * 2
    round_.refresh_from_db()
    assert round_.state == State.POLICY_TRAINING
    response = as_("engineer").post(url("take_up", loop, 1), follow=True)
    assert "only a failed or cancelled round" in said(response)[0]


def test_cancelling_on_a_page_left_open_says_that_the_round_had_ended(as_, loop):
    round_ = loop.round(State.CLOSED)
    response = as_("lead").post(url("cancel", loop, 1), follow=True)
    assert said(response) == ["Round 1 had ended before: nothing was cancelled."]
    round_.refresh_from_db()
    assert round_.cancel_requested_at is None


@pytest.fixture
def awaiting(loop, behave, evidence):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    record_refresh(round_)
    return round_


def test_a_lead_reads_the_report_and_approves(
    as_, loop, awaiting, sent, django_capture_on_commit_callbacks
):
    client = as_("lead")
    page = text(client.get(url("round", loop, 1)))
    assert "Approve and deploy" in page
    report = reverse("reports:report", args=[loop.line.slug, 1])
    assert report in page
    assert "Approve and deploy" in text(client.get(report))
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(url("approve", loop, 1), {"approve": "1"}, follow=True)
    assert said(response) == ["The promotion is approved; the candidate is being deployed."]
    assert response.redirect_chain[-1][0] == report
    assert sent == [(str(awaiting.id), "default")]
    advance_through(awaiting)
    assert loop.deployed() == awaiting.candidate
    page = text(client.get(url("line", loop)))
    assert f"<strong>{training.model_version_get(awaiting.candidate).name}</strong>" in page


def test_an_engineer_sees_the_report_without_the_buttons(as_, loop, awaiting):
    client = as_("engineer")
    assert "Approve and deploy" not in text(client.get(url("round", loop, 1)))
    report = reverse("reports:report", args=[loop.line.slug, 1])
    assert "Approve and deploy" not in text(client.get(report))


def test_holding_back_needs_a_reason(as_, loop, awaiting):
    client = as_("lead")
    response = client.post(url("approve", loop, 1), {"approve": "0"}, follow=True)
    assert "needs a reason" in said(response)[0]
    assert evaluation.approval_get(awaiting.id) is None
    answer = {"approve": "0", "reason": "The tone is wrong for us."}
    response = client.post(url("approve", loop, 1), answer, follow=True)
    assert said(response) == ["The promotion is held back."]
    assert advance_through(awaiting).state == State.CLOSED
    assert loop.deployed() == loop.base.id


def test_nothing_can_be_approved_before_the_gate_decided(as_, loop):
    loop.round(State.POLICY_TRAINING)
    response = as_("lead").post(url("approve", loop, 1), {"approve": "1"})
    assert response.status_code == 302
    assert evaluation.approval_get(loop.line.rounds.get().id) is None


def test_two_leads_override_in_the_page(as_, loop, behave, evidence):
    evidence.changes = TOO_LONG
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    record_refresh(round_)
    page = text(as_("lead").get(url("round", loop, 1)))
    assert "Let a check through (needs two leads)" in page
    check = page.split('<option value="')[1].split('"')[0]
    asked = {"check_id": check, "reason": REASON, "days": "7"}

    wrong = as_("lead").post(url("override_request", loop, 1), {**asked, "days": "90"}, follow=True)
    assert said(wrong)[0].startswith("Valid for (days): ")
    response = as_("lead").post(url("override_request", loop, 1), asked, follow=True)
    assert said(response) == ["The override waits for a second lead."]
    assert Notice.objects.filter(user__username="all").count() == 1
    assert "A second lead must confirm it." in text(as_("lead").get(url("round", loop, 1)))

    (override,) = evaluation.overrides(round_.id)
    confirm = url("override_confirm", loop, 1, override.id)
    assert as_("engineer").post(confirm).status_code == 403
    assert "two different leads" in said(as_("lead").post(confirm, follow=True))[0]
    assert loop.deployed() == loop.base.id
    assert "Confirm as second lead" in text(as_("lead of all").get(url("round", loop, 1)))
    response = as_("lead of all").post(confirm, follow=True)
    assert said(response) == ["The override is confirmed and policy v2 is deployed."]
    assert loop.deployed() == round_.candidate


SCHEDULE = {
    "schedule_enabled": "on",
    "schedule_time": "01:45",
    "schedule_time_zone": "Europe/Berlin",
    "schedule_days": "*",
    "minimum_fresh_labels": "50",
}


def test_the_schedule_is_saved_and_shown(as_, loop):
    response = as_("engineer").post(url("schedule", loop), SCHEDULE, follow=True)
    assert said(response) == ["The schedule is saved."]
    page = text(as_("engineer").get(url("line", loop)))
    assert "01:45 Europe/Berlin" in page  # in the line's own time zone
    assert "01:45 Europe/Berlin" in text(as_("engineer").get(reverse("rounds:lines")))
    assert "3 of 50" in page
    assert "wait for a lead" in page


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("schedule_time_zone", "Berlin", "is no time zone"),
        ("schedule_time", "25:00", "Enter a valid time"),
        ("minimum_fresh_labels", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_schedule_is_answered_beside_the_field(as_, loop, field, value, words):
    response = as_("engineer").post(url("schedule", loop), {**SCHEDULE, field: value})
    assert words in " ".join(response.context["form"].errors[field])
    loop.line.refresh_from_db()
    assert not loop.line.schedule_enabled


def test_the_plan_is_saved_for_the_next_round(as_, loop):
    plan = {**loop.line.plan, "seed": 11}
    response = as_("engineer").post(url("plan", loop), {"plan": json.dumps(plan)}, follow=True)
    assert said(response) == ["The plan of the next round is saved."]
    loop.line.refresh_from_db()
    assert loop.line.plan["seed"] == 11


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gate_pears": 4}, "gate_pears"),
        ({"evaluation_prompts": 0}, "evaluation_prompts must be at least 1"),
        ({"policy": {"updates": "many"}}, "policy.updates: expected int"),
        ({"policy": {"kl": {"kind": "elastic"}}}, "policy.kl.kind: 'elastic' is not one of"),
        ({"random_share": 3}, "random_share must lie between 0 and 1"),
    ],
)
def test_a_wrong_plan_names_its_field_and_changes_nothing(as_, loop, change, words):
    body = {"plan": json.dumps({**loop.line.plan, **change})}
    response = as_("engineer").post(url("plan", loop), body)
    assert words in " ".join(response.context["form"].errors["plan"])
    before = loop.line.plan
    loop.line.refresh_from_db()
    assert loop.line.plan == before


def test_a_plan_that_is_no_json_names_the_line(as_, loop):
    response = as_("engineer").post(url("plan", loop), {"plan": '{\n "seed": 1,\n oops}'})
    assert "Line 3 is not valid JSON" in " ".join(response.context["form"].errors["plan"])


def test_what_was_taken_up_keeps_its_page(as_, loop, steps):
    """A taken-up round forgets the error of the attempt before."""
    steps.outcomes[State.SNAPSHOT] = StepFailed("No disk.")
    round_ = loop.round()
    round_advance(round_id=round_.id)
    round_take_up(round_=round_, actor="eve")
    del steps.outcomes[State.SNAPSHOT]
    advance_through(round_)
    page = text(as_("engineer").get(url("round", loop, 1)))
    assert "Closed" in page
    assert "stopped here" not in page
