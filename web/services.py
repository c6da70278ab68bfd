"""Writing to the audit log, and telling people something."""

from __future__ import annotations

import logging
import smtplib
import uuid
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

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


def notice_send(
    *, users: Iterable[Any], topic: str, level: str, text: str, url: str = ""
) -> list[Notice]:
    """Tell each person once per topic, in the page and, where EMAIL_HOST is set, by e-mail.

    A repeated alarm with the same topic is swallowed, so put into the topic what makes it new (a round,
    a date). Returns the notices made. Mail leaves after the transaction; one that cannot be sent is
    logged.
    """
    made = []
    for user in {user.pk: user for user in users}.values():
        notice, created = Notice.objects.get_or_create(
            user=user, topic=topic, defaults={"level": level, "text": text[:500], "url": url}
        )
        if created:
            made.append(notice)
    if made and settings.EMAIL_HOST:
        transaction.on_commit(partial(_notices_mail, made))
    return made


def _notices_mail(notices: list[Notice]) -> None:
    for notice in notices:
        if not notice.user.email or not notice.user.is_active:
            continue
        try:
            _notice_message(notice).send()
        except (OSError, smtplib.SMTPException) as error:
            log.warning("The notice %s could not be mailed: %s", notice.pk, error)


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
