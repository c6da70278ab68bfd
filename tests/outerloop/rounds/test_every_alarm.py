"""Every alarm, set off as it is in real life: by a worker, the sweeper, the policy server, a lead."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.urls import reverse

from evaluation.gates.serving.engine import EngineError
from evaluation.gates.serving.supervisor import Supervisor
from outerloop.rounds import tasks
from outerloop.rounds.models import State
from outerloop.rounds.overriding import overridable_checks
from outerloop.rounds.services import round_start
from outerloop.rounds.steps import StepFailed, Wait
from tests.architecture.packages import PACKAGES
from tests.outerloop.rounds.test_overriding import REASON, TOO_LONG
from tests.outerloop.rounds.world import advance_through
from tests.support.people import person_create
from training.runs.models import Run
from web.models import Notice

# Where an alarm is given -> how many there are; each has its test below.
ALARMS = {
    "evaluation/gates/notices.py": 1,
    "evaluation/gates/serving/notices.py": 1,
    "outerloop/rounds/alarms.py": 5,
    "outerloop/rounds/overriding.py": 1,
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
        target: int | None = None

    def fail(artifact):
        raise EngineError("The server ended with status 1.\nno memory")

    found = heard(Supervisor(loop.line.id, fail, Public()).step)
    assert told(found, "cannot be served: The server ended with status 1.") == {"lea", "eve"}


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
    assert {path: count for path, count in calls.items() if count} == ALARMS
