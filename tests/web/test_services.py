from __future__ import annotations

import smtplib
import time
import uuid

import pytest
from django.core import mail
from django.db import IntegrityError, transaction

from outerloop.settings import base
from tests.support.people import person_create
from tests.support.silent import silent_server
from web.models import AuditEvent, Notice
from web.services import audit_record, notice_send, notices_read

pytestmark = pytest.mark.django_db


def _send(*users, topic="round-7-failed"):
    return notice_send(users=users, topic=topic, level="bad", text="Round 7 failed.", url="/r/7/")


def test_the_audit_log_can_be_written_and_neither_changed_nor_deleted():
    user = person_create("lea", "lead")
    event = audit_record(actor=user, verb="approved", target="round:7", line=uuid.UUID(int=1))
    audit_record(actor="schedule", verb="started", target="round:8", detail={"labels": 300})
    assert event.actor == str(user.pk)
    for change in (lambda: AuditEvent.objects.update(verb="x"), AuditEvent.objects.all().delete):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change()
    assert list(AuditEvent.objects.order_by("id").values_list("verb", flat=True)) == [
        "approved",
        "started",
    ]


def test_a_notice_comes_once_per_person_and_topic():
    ann, bob = person_create("ann"), person_create("bob")
    assert len(_send(ann, ann)) == 1
    assert [notice.user for notice in _send(ann, bob)] == [bob]
    assert len(_send(ann, topic="round-8-failed")) == 1


def test_without_a_mail_host_nothing_is_mailed(settings, django_capture_on_commit_callbacks):
    settings.EMAIL_HOST = ""
    with django_capture_on_commit_callbacks(execute=True):
        _send(person_create("ann"))
    assert mail.outbox == []


def test_with_a_mail_host_the_notice_is_mailed_with_its_address(
    settings, django_capture_on_commit_callbacks
):
    settings.EMAIL_HOST, settings.OUTERLOOP_SITE_URL = (
        "mail.example.org",
        "https://loop.example.org/",
    )
    with django_capture_on_commit_callbacks(execute=True):
        _send(person_create("ann"))
    (message,) = mail.outbox
    assert message.to == ["ann@example.org"]
    assert message.subject == "Outerloop: Round 7 failed."
    assert message.body == "Round 7 failed.\n\nhttps://loop.example.org/r/7/"


def test_a_mail_server_that_is_down_does_not_lose_the_notice(
    settings, monkeypatch, caplog, django_capture_on_commit_callbacks
):
    def refuse(self, fail_silently=False):
        raise smtplib.SMTPServerDisconnected("down")

    settings.EMAIL_HOST = "mail.example.org"
    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        _send(person_create("ann"))
    assert Notice.objects.get().text == "Round 7 failed."
    assert "could not be mailed" in caplog.text


def test_a_mail_server_that_says_nothing_is_waited_for_once_and_not_for_each_person(
    settings, caplog, django_capture_on_commit_callbacks
):
    with silent_server() as port:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", port, 0.5
        began = time.monotonic()
        with django_capture_on_commit_callbacks(execute=True):
            _send(*(person_create(name) for name in ("ann", "bob", "cat", "dan")))
        assert time.monotonic() - began < 30
    assert Notice.objects.count() == 4
    assert "does not take the 4 mails" in caplog.text


def test_mail_has_a_time_limit():
    assert 0 < base.EMAIL_TIMEOUT <= 10


def test_a_person_marks_only_own_notices_read():
    ann, bob = person_create("ann"), person_create("bob")
    _send(ann, bob)
    theirs = Notice.objects.get(user=bob)
    assert notices_read(user=ann, notice_id=theirs.pk) == 0
    assert notices_read(user=ann) == 1
    theirs.refresh_from_db()
    assert theirs.read_at is None
