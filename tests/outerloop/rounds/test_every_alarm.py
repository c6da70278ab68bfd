"""Every alarm, set off as it is in real life: by a worker, the sweeper, the policy server, a lead."""

from __future__ import annotations

import ast
from collections import Counter
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from annotation import facade as annotation
from annotation.accounts.services import membership_grant
from evaluation import facade as evaluation
from evaluation.contracts import JudgeSettings
from evaluation.gates.serving.duties import CanaryDuty
from evaluation.gates.serving.engine import EngineError
from evaluation.gates.serving.supervisor import Supervisor
from evaluation.judges.models import LineJudge
from outerloop.rounds import tasks
from outerloop.rounds.models import PolicyLine, State
from outerloop.rounds.overriding import overridable_checks
from outerloop.rounds.services import round_start
from outerloop.rounds.signal_watch import signal_alarms
from outerloop.rounds.steps import StepFailed, Wait
from outerloop.webhooks import tasks as webhook_tasks
from outerloop.webhooks.claims import delivery_claim
from outerloop.webhooks.outcomes import TRIES, attempt_record
from tests.architecture.packages import PACKAGES
from tests.evaluation.gates.canary_votes import thumbs as canary_thumbs
from tests.outerloop.rounds.signalled import old_line, second_deployed, thumbs
from tests.outerloop.rounds.test_overriding import REASON, TOO_LONG
from tests.outerloop.rounds.world import advance_through, known
from tests.outerloop.webhooks.world import a_webhook, make_due
from tests.outerloop.webhooks.world import told as event_told
from tests.support.people import person_create
from training.runs.models import Run
from web.models import Notice

# Where an alarm is given -> how many there are; each has its test below.
ALARMS = {
    "evaluation/gates/canary_judging.py": 2,
    "evaluation/gates/notices.py": 1,
    "evaluation/gates/serving/notices.py": 3,
    "evaluation/judges/notices.py": 1,
    "outerloop/rounds/alarms.py": 5,
    "outerloop/rounds/overriding.py": 1,
    "outerloop/rounds/signal_watch.py": 1,
    "outerloop/webhooks/notices.py": 2,
}
# What people say to each other comes as a notice too: heard by the tests of those pages.
WORDS = {
    "annotation/quality/answer_views.py": 1,
    "annotation/quality/question_views.py": 2,
}


@pytest.fixture
def people(loop, settings):
    settings.EMAIL_HOST = "mail.example.org"
    return {
        name: person_create(name, role, line=loop.line.id)
        for name, role in (("lea", "lead"), ("eve", "engineer"), ("ann", "annotator"))
    }


@pytest.fixture
def heard(people, client, django_capture_on_commit_callbacks):
    """`heard(act)`: what each person then reads on the notices page and in the mail."""

    def listen(act):
        with django_capture_on_commit_callbacks(execute=True):
            act()
        found = {}
        for name, user in people.items():
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
            page = client.get(reverse("web:notices")).content.decode()
            mails = [m for m in mail.outbox if m.to == [user.email]]
            notices = list(Notice.objects.filter(user=user))
            assert len(mails) == len(notices), f"{name}: the page and the mail differ"
            for notice in notices:
                assert any(notice.text in m.body for m in mails)
            found[name] = (page, " ".join(str(m.subject) for m in mails))
        return found

    return listen


def told(found, text):
    """Who reads `text` both in the page and in the mail."""
    return {name for name, (page, subject) in found.items() if text in page and text in subject}


def test_a_failed_round(loop, steps, heard, people):
    steps.outcomes[State.SNAPSHOT] = StepFailed("The disk is full.")
    round_ = loop.round(State.SNAPSHOT)
    found = heard(lambda: tasks.advance(str(round_.id)))
    assert told(found, "failed: The disk is full.") == {"lea", "eve"}


def test_a_waiting_decision(loop, steps, heard, people, monkeypatch):
    monkeypatch.setattr(tasks, "record_refresh", lambda round_: None)
    steps.outcomes[State.AWAITING_APPROVAL] = Wait("A lead reads the report.")
    round_ = loop.round(State.AWAITING_APPROVAL, verdict="PROMOTE")
    found = heard(lambda: tasks.advance(str(round_.id)))
    assert told(found, "waits for your decision") == {"lea"}


def test_a_closed_round(loop, steps, heard, people):
    round_ = loop.round(State.POLICY_TRAINING)
    found = heard(lambda: tasks.advance(str(round_.id)))
    assert told(found, "is closed: no verdict.") == {"lea", "eve"}


def test_a_training_that_an_alarm_stopped(loop, steps, heard, people):
    round_ = loop.round(State.POLICY_TRAINING)
    alarm = {"name": "kl", "says": "KL rose to 80 nats."}
    Run.objects.create(
        line=loop.line.id, round=round_.id, kind="ppo", seed=1, spec={}, spec_sha256="",
        state="succeeded", manifest={"results": {"alarm": alarm}},
    )  # fmt: skip
    found = heard(lambda: tasks.advance(str(round_.id)))
    assert told(found, "training was stopped by the alarm") == {"lea", "eve"}


def test_an_empty_queue(loop, heard, people):
    found = heard(tasks.sweep)
    assert told(found, "is empty: annotators have nothing to compare") == {"lea", "eve"}


def test_a_deployed_policy_that_cannot_be_served(loop, heard, people):
    class Public:
        def point(self, server, artifact=None, version=None):
            raise AssertionError("nothing is served")

        def drain(self, server, seconds):
            raise AssertionError("nothing is served")

    def fail(artifact):
        raise EngineError("The server ended with status 1.\nno memory")

    found = heard(Supervisor(loop.line.id, fail, Public()).step)
    assert told(found, "cannot be served: The server ended with status 1.") == {"lea", "eve"}


@pytest.fixture
def canary(loop, behave, evidence, people):
    """Under way on a line with signals; what was told until then is put away."""
    PolicyLine.objects.filter(pk=loop.line.id).update(deploys_by_itself=True, canary_share=25)
    loop.line.refresh_from_db()
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    advance_through(round_start(line=loop.line, trigger="person"))
    mail.outbox.clear()
    Notice.objects.all().delete()
    return known(evaluation.canary_running(loop.line.id))


def test_a_canary_that_is_shown_worse(canary, heard):
    later = timezone.now() + timedelta(days=2)
    canary_thumbs(canary, taken=True, users=200, down=160, days=-0.1)
    canary_thumbs(canary, taken=False, users=400, down=80, days=-0.1)
    with mock.patch("django.utils.timezone.now", return_value=later):
        found = heard(evaluation.canaries_judge)
    assert told(found, "was taken back by itself") == {"lea", "eve"}


def test_a_canary_that_may_be_widened(canary, heard):
    with mock.patch("django.utils.timezone.now", return_value=canary.widened_from):
        found = heard(evaluation.canaries_judge)
    assert told(found, "has answered for its days") == {"lea"}


def test_a_canary_that_cannot_be_served(canary, heard):
    def fail(artifact):
        raise EngineError("The server ended with status 1.\nno memory")

    duty = CanaryDuty(canary.line_id)
    found = heard(Supervisor(canary.line_id, fail, mock.Mock(), duty=duty).step)
    assert told(found, "The canary cannot be served: The server ended") == {"lea", "eve"}


def test_a_canary_whose_server_has_ended(canary, heard):
    serving = mock.Mock(size=1)
    serving.alive.return_value = True
    serving.last_words.return_value = "Its server ended by itself (SIGKILL) and is started again."
    supervisor = Supervisor(
        canary.line_id, lambda artifact: serving, mock.Mock(), duty=CanaryDuty(canary.line_id)
    )
    supervisor.step()
    serving.alive.return_value = False
    found = heard(supervisor.step)
    assert told(found, "The canary is away: Its server ended by itself (SIGKILL)") == {"lea", "eve"}


def test_a_judge_that_cannot_be_asked(loop, behave, evidence, heard, people, settings):
    settings.OUTERLOOP_OUTGOING_ALLOW = []
    settings.OUTERLOOP_OUTGOING_HTTP = True
    started = round_start(line=loop.line, trigger="person")
    round_ = advance_through(started, upto=State.POLICY_EVALUATION)
    told_to = JudgeSettings(url="http://127.0.0.1:8001/v1", model="wise-1")
    LineJudge.objects.create(line=loop.line.id, active=True, settings=told_to.to_json())
    found = heard(lambda: tasks.advance(str(round_.id)))
    assert told(found, "could not be asked: 127.0.0.1 leads to 127.0.0.1") == {"lea", "eve"}


def test_an_override_that_waits_for_a_second_lead(loop, behave, evidence, heard, people, client):
    evidence.changes = TOO_LONG
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    ((check, _),) = overridable_checks(round_)
    asking = person_create("leo", "lead", line=loop.line.id)
    mail.outbox.clear()
    Notice.objects.all().delete()

    def ask():
        client.force_login(asking, backend="django.contrib.auth.backends.ModelBackend")
        address = reverse("rounds:override_request", args=[loop.line.slug, round_.number])
        answer = client.post(address, {"check_id": check, "reason": REASON, "days": 7})
        assert answer.status_code == 302

    found = heard(ask)
    assert told(found, "leo asks you to confirm an override") == {"lea"}


def test_a_weaker_gate_policy_that_waits_for_a_second_lead(loop, heard, people, client):
    asking = person_create("leo", "lead", line=loop.line.id)

    def ask():
        client.force_login(asking, backend="django.contrib.auth.backends.ModelBackend")
        address = reverse("gates:policy_edit", args=[loop.line.id])
        form = client.get(address).context["form"]
        shown = {
            name: field.prepare_value(form[name].value()) for name, field in form.fields.items()
        }
        sent = {
            name: value for name, value in shown.items() if value is not None and value is not False
        }
        changed = {**sent, "max_labels": 900, "alpha": 10, "reason": REASON}
        answer = client.post(address, changed)
        assert answer.status_code == 302, answer.context["form"].errors

    found = heard(ask)
    assert told(found, "leo asks you to confirm a weaker gate policy") == {"lea"}


def test_more_trouble_with_the_deployed_policy_than_before(tmp_path, heard, people):
    now = timezone.now()
    world = old_line(tmp_path, now)
    second = second_deployed(world, tmp_path, now)
    thumbs(world, world.base, 100, 10, at=now - timedelta(days=7))
    thumbs(world, second, 100, 60, at=now - timedelta(days=2))
    for name, role in (("lea", "lead"), ("eve", "engineer"), ("ann", "annotator")):
        membership_grant(user=people[name], role=role, line_id=world.line.id)
    found = heard(signal_alarms)
    assert told(found, "60% of the users who give thumbs") == {"lea", "eve"}


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ({}, "did not take round.started after 8 tries"),
        ({"failures": 30, "failing_since": timezone.now() - timedelta(days=2)}, "was switched off"),
    ],
)
def test_a_receiver_that_takes_no_event(loop, heard, people, monkeypatch, before, says):
    monkeypatch.setattr(webhook_tasks.send, "apply_async", lambda: None)
    webhook = a_webhook(loop.line, "https://receiver.invalid/", **before)

    def fail():
        event_told(loop.line)
        for _ in range(TRIES if not before else 1):
            make_due(webhook)
            claim = delivery_claim(failing_too=True)
            assert claim is not None
            attempt_record(claim, status=500, milliseconds=3, error="500")

    assert told(heard(fail), says) == {"lea"}


def test_each_alarm_of_the_product_has_its_test_here():
    """A new call of `notice_send` fails here until it has a test above."""
    root = Path(django_settings.BASE_DIR)
    calls: Counter[str] = Counter()
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            names = [
                node.func.id
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            ]
            calls[path.relative_to(root).as_posix()] += names.count("notice_send")
    assert {path: count for path, count in calls.items() if count} == ALARMS | WORDS
