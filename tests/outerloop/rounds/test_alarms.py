"""Who is told what, and how often."""

from __future__ import annotations

from datetime import date

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.utils import timezone

from annotation.comparisons.models import Comparison
from outerloop.rounds.alarms import queue_alarms, round_alarms, run_alarms
from outerloop.rounds.models import Round, RoundStep, State
from tests.annotation.factories import some_pairs
from tests.outerloop.rounds.world import bare_line
from tests.support.people import person_create
from training import facade as training
from training.runs.models import Run, RunEventRow
from web.models import Notice


@pytest.fixture
def people(loop):
    """A lead and an engineer of the line, a lead of every line, and people whom it does not concern."""
    line = loop.line.id
    person_create("lea", "lead", line=line)
    person_create("eve", "engineer", line=line)
    person_create("all", "lead")
    person_create("ann", "annotator", line=line)
    person_create("other", "lead", "engineer", line=bare_line().id)
    gone = person_create("gone", "lead", line=line)
    gone.is_active = False
    gone.save()


def told(**found):
    return sorted(Notice.objects.filter(**found).values_list("user__username", flat=True))


def alarmed_run(round_):
    """A run of the round's present step that an alarm ended with a policy to judge."""
    made = training.run_create(
        line_id=round_.line_id, round_id=round_.id, kind="ppo", seed=1, config={}, inputs={}
    )
    says = "KL to the reference is 140 nats a sequence. Raise kl.beta."
    results = {"stopped_by": "kl_explosion", "alarm": {"name": "kl_explosion", "says": says}}
    Run.objects.filter(pk=made.id).update(state="succeeded", manifest={"results": results})
    RunEventRow.objects.create(
        run_id=made.id, seq=1, at=timezone.now(), phase="alarm kl_explosion", step=3, total_steps=9,
        message=says,
    )  # fmt: skip
    position = list(State).index(State(round_.state))
    RoundStep.objects.create(round=round_, name=round_.state, position=position, run=made.id)
    return made


def test_an_alarm_that_ended_a_run_early_is_told_once_and_shown_on_the_round(loop, people, client):
    round_ = loop.round(State.POLICY_TRAINING)
    run_alarms(round_)
    assert told() == []
    run = alarmed_run(round_)
    for _ in range(3):
        run_alarms(round_)
    assert told(level="attention") == ["all", "eve", "lea"]
    notice = Notice.objects.all()[0]
    assert "stopped by the alarm “Exploding KL”" in notice.text
    assert "Raise kl.beta." in notice.text
    assert notice.url == f"/runs/{run.id}/"
    client.force_login(get_user_model().objects.get(username="eve"))
    body = client.get(f"/lines/{loop.line.slug}/rounds/{round_.number}/").content.decode()
    assert "Exploding KL" in body
    assert f'href="/runs/{run.id}/"' in body
    page = client.get(f"/runs/{run.id}/").content.decode()
    assert f"{loop.line.name}, round {round_.number}" in page
    assert "Stopped by an alarm" in page


def test_a_failed_round_is_told_to_engineers_and_leads_once(loop, people):
    round_ = loop.round(State.FAILED, error="Out of memory.")
    for _ in range(3):
        round_alarms(round_)
    assert told(level="bad") == ["all", "eve", "lea"]
    notice = Notice.objects.all()[0]
    assert notice.text == f"{loop.line.name}, round 1 failed: Out of memory."
    assert notice.url == f"/lines/{loop.line.slug}/rounds/1/"


def test_a_round_that_fails_again_is_told_again(loop, people, steps):
    round_ = loop.round(State.FAILED, error="First.", closed_at=timezone.now())
    round_alarms(round_)
    Round.objects.filter(pk=round_.pk).update(error="Second.", closed_at=timezone.now())
    round_.refresh_from_db()
    round_alarms(round_)
    assert Notice.objects.filter(user__username="eve").count() == 2


def test_a_decision_that_waits_is_told_to_leads_alone(loop, people):
    round_alarms(loop.round(State.AWAITING_APPROVAL, verdict="PROMOTE"))
    assert told(level="attention") == ["all", "lea"]


def test_a_closed_round_says_its_verdict(loop, people):
    round_alarms(loop.round(State.CLOSED, verdict="REJECT"))
    assert told() == ["all", "eve", "lea"]
    assert Notice.objects.all()[0].text.endswith("round 1 is closed: REJECT.")


@pytest.mark.parametrize("state", [State.SNAPSHOT, State.AWAITING_LABELS, State.CANCELLED])
def test_other_states_disturb_nobody(loop, people, state):
    round_alarms(loop.round(state))
    assert told() == []


def test_an_empty_queue_is_told_once_a_day(loop, people, monkeypatch):
    assert not Comparison.objects.filter(open=True).exists()
    for _ in range(2):
        queue_alarms()
    assert told() == ["all", "eve", "lea"]
    assert "is empty: annotators have nothing to compare" in Notice.objects.all()[0].text
    monkeypatch.setattr("django.utils.timezone.localdate", lambda: date(2031, 1, 1))
    queue_alarms()
    assert Notice.objects.count() == 6


def test_a_queue_with_pairs_or_a_line_that_has_not_begun_disturbs_nobody(loop, people):
    some_pairs(loop.campaign, 1, split="train")
    queue_alarms()
    assert told() == []


def test_where_mail_is_set_up_the_alarm_leaves_by_mail(
    loop, people, settings, django_capture_on_commit_callbacks
):
    settings.EMAIL_HOST = "mail.example.org"
    settings.OUTERLOOP_SITE_URL = "https://loop.example.org"
    round_ = loop.round(State.AWAITING_APPROVAL, verdict="PROMOTE")
    with django_capture_on_commit_callbacks(execute=True):
        round_alarms(round_)
    assert sorted(message.to[0] for message in mail.outbox) == [
        "all@example.org", "lea@example.org",
    ]  # fmt: skip
    assert "waits for your decision" in mail.outbox[0].subject
    assert f"https://loop.example.org/lines/{loop.line.slug}/rounds/1/" in mail.outbox[0].body


def test_without_a_mail_host_nothing_is_mailed(loop, people, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        round_alarms(loop.round(State.FAILED, error="x"))
    assert mail.outbox == []
