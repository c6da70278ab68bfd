"""Writing to the audit log, and telling people something."""

from __future__ import annotations

import logging
import smtplib
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.utils import timezone

from .events import Event, event_tell
from .models import AuditEvent, Notice

log = logging.getLogger(__name__)


def audit_record(
    *,
    actor: Any,
    verb: str,
    target: str,
    line: uuid.UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Append one act to the log. `actor` is a user, or the name of a process such as "schedule"."""
    name = actor if isinstance(actor, str) else str(actor.pk)
    return AuditEvent.objects.create(
        actor=name, verb=verb, target=target, line=line, detail=detail or {}
    )


NOTICE_RAISED = "notice.raised"


@transaction.atomic
def notice_send(
    *,
    users: Iterable[Any],
    topic: str,
    level: str,
    text: str,
    url: str = "",
    line: uuid.UUID | None = None,
) -> list[Notice]:
    """Tell each person once per topic, in the page and, where EMAIL_HOST is set, by e-mail.

    A repeated alarm with the same topic is swallowed, so put into the topic what makes it new (a round,
    a date). Returns the notices made. Mail leaves after the transaction; one that cannot be sent is
    logged. With a `line` programs outside are told as well, once per topic: such a text names nobody.
    """
    made = []
    for user in {user.pk: user for user in users}.values():
        notice, created = Notice.objects.get_or_create(
            user=user, topic=topic, defaults={"level": level, "text": text[:500], "url": url}
        )
        if created:
            made.append(notice)
    if made and line is not None:
        data = {"level": level, "text": text[:500]}
        event_tell(Event(NOTICE_RAISED, line, data, url, key=f"notice {topic}"))
    if made and settings.EMAIL_HOST:
        transaction.on_commit(partial(_notices_mail, made))
    return made


def _notices_mail(notices: list[Notice]) -> None:
    meant = [notice for notice in notices if notice.user.email and notice.user.is_active]
    mails_send({f"notice {notice.pk}": _notice_message(notice) for notice in meant})


def mails_send(messages: Mapping[str, EmailMessage]) -> None:
    """By one connection, each by the name that the log knows it by; where the server itself does not answer,
    nobody waits for it once a person."""
    try:
        with get_connection() as server:
            for name, message in messages.items():
                _mail_send(name, message, server)
    except (OSError, smtplib.SMTPException) as error:
        log.warning("The mail server does not take the %d mails: %s", len(messages), error)


def _mail_send(name: str, message: EmailMessage, server: Any) -> None:
    """What the server refuses for this one person is logged; a silent server is the caller's affair."""
    message.connection = server
    try:
        message.send()
    except smtplib.SMTPException as error:
        log.warning("The %s could not be mailed: %s", name, error)


def _notice_message(notice: Notice) -> EmailMessage:
    address = f"{settings.OUTERLOOP_SITE_URL.rstrip('/')}{notice.url}" if notice.url else ""
    return EmailMessage(
        subject=f"Outerloop: {' '.join(notice.text.split())[:120]}",
        body="\n\n".join(part for part in (notice.text, address) if part),
        to=[notice.user.email],
    )


def notices_read(*, user: Any, notice_id: uuid.UUID | None = None) -> int:
    """Mark one of the person's notices read, or all of them; the number that were unread."""
    unread = Notice.objects.filter(user=user, read_at=None)
    if notice_id is not None:
        unread = unread.filter(pk=notice_id)
    return unread.update(read_at=timezone.now())
