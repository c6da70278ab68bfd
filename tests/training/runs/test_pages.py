"""The pages of runs: what is shown, to whom, and what a person may do there."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from tests.support import registry
from tests.support.people import person_create
from training import facade as training
from training.runs.execution import run_execute
from training.runs.models import Run, RunEventRow
from web.models import AuditEvent
from web.registry import RoundLookup, RoundPlace

pytestmark = pytest.mark.django_db


@pytest.fixture
def engineer(client):
    person = person_create("ada", "engineer")
    client.force_login(person)
    return person


def page(client, run, **options):
    return client.get(reverse("runs:run", args=[run.id]), **options)


def ordered(round_id=None):
    made = training.run_create(
        line_id=uuid.uuid4(), round_id=round_id, kind="ppo", seed=3, config={}, inputs={}
    )
    return Run.objects.get(pk=made.id)


def running(run, *events):
    Run.objects.filter(pk=run.id).update(state="running", fence=1)
    for seq, (phase, step, total, metrics, message) in enumerate(events, 1):
        RunEventRow.objects.create(
            run=run, seq=seq, at=f"2026-01-02T03:04:{seq:02}Z", phase=phase, step=step,
            total_steps=total, metrics=metrics, message=message,
        )  # fmt: skip


def test_a_running_program_is_followed_with_charts_time_left_and_log(client, engineer, order):
    run = order()
    rows = [("ppo", t, 20, {"entropy": 0.5 - 0.01 * t, "kl_k1": 0.1 * t}, "") for t in (1, 2, 3)]
    running(run, ("start", 1, 1, {}, "Started."), *rows)
    run.directory.mkdir(parents=True)
    (run.directory / "child.log").write_text("first\nlast words\n")
    body = page(client, run).content.decode()
    assert "Policy by PPO" in body
    assert "Training the policy, 3 of 20" in body
    assert "left in this phase" in body
    assert body.count('<svg class="plot"') == 2
    assert "last words" in body
    assert 'hx-trigger="every 2s"' in body


def test_heading_and_buttons_follow_a_run_to_its_end(client, engineer, behave, order):
    run = order()
    live = page(client, run).content.decode().split('<div id="live"')[1]
    assert "waits for a worker" in live
    assert "Cancel run" in live
    run_execute(run_id=run.id, owner="w")
    over = page(client, run).content.decode().split('<div id="live"')[1]
    assert "hx-get" not in over
    assert "Finished" in over
    assert "Cancel run" not in over


def test_a_failed_run_says_why_and_an_alarm_is_named(client, engineer, behave, order):
    run = order()
    behave(fail="The learning rate is too high.")
    with pytest.raises(training.RunFailed):
        run_execute(run_id=run.id, owner="w")
    assert "The learning rate is too high." in page(client, run).content.decode()
    RunEventRow.objects.create(
        run=run, seq=99, at="2026-01-02T03:04:05Z", phase="alarm nan", step=2, total_steps=9,
        message="value loss is nan",
    )  # fmt: skip
    body = page(client, run).content.decode()
    assert "Not a number" in body
    assert "value loss is nan" in body
    assert "The last checkpoint is kept." in body


def test_a_run_that_an_alarm_ended_early_is_not_shown_as_plainly_finished(
    client, engineer, behave, order
):
    run = order()
    run_execute(run_id=run.id, owner="w")
    RunEventRow.objects.create(
        run=run, seq=99, at="2026-01-02T03:04:05Z", phase="alarm kl_explosion", step=2,
        total_steps=9, message="KL is 120",
    )  # fmt: skip
    body = page(client, run).content.decode()
    assert "Stopped by an alarm" in body
    assert "Exploding KL" in body
    assert "The last healthy policy is kept." in body


def test_a_run_of_its_own_is_cancelled_here_and_the_act_is_written_down(client, engineer, order):
    run = order()
    assert "Cancel run" in page(client, run).content.decode()
    client.post(reverse("runs:cancel", args=[run.id]))
    assert training.run_get(run.id).state == "cancelled"
    assert AuditEvent.objects.get().verb == "cancelled run"
    assert "Cancel run" not in page(client, run).content.decode()


def test_a_run_of_a_round_is_cancelled_with_its_round(client, engineer, monkeypatch):
    run = ordered(round_id=uuid.uuid4())
    place = RoundPlace("Help desk, round 3", "/r/3/", "/r/3/cancel/")
    registry.only(monkeypatch, RoundLookup, RoundLookup("test", lambda round_id: place))
    body = page(client, run).content.decode()
    assert "Help desk, round 3" in body
    assert 'action="/r/3/cancel/"' in body
    client.post(reverse("runs:cancel", args=[run.id]))
    assert training.run_get(run.id).state == "pending"
    assert not AuditEvent.objects.exists()


def test_only_engineers_and_leads_of_the_line_see_its_runs(client, order):
    mine, other = order(), order()
    client.force_login(person_create("eve", "annotator"))
    assert page(client, mine).status_code == 403
    assert client.get(reverse("runs:runs")).status_code == 403
    client.force_login(person_create("bob", "lead", line=mine.line))
    assert page(client, mine).status_code == 200
    assert page(client, other).status_code == 403
    listed = client.get(reverse("runs:runs")).content.decode()
    assert str(mine.id) in listed
    assert str(other.id) not in listed
    assert client.post(reverse("runs:cancel", args=[other.id])).status_code == 403
    client.logout()
    assert page(client, mine).status_code == 302


def test_an_unknown_run_is_not_found(client, engineer):
    assert client.get(reverse("runs:run", args=[uuid.uuid4()])).status_code == 404


def test_the_list_says_when_nothing_has_run(client, engineer):
    assert "No program has run yet" in client.get(reverse("runs:runs")).content.decode()
