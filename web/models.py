"""The audit log and the notices that people are shown: the ground floor that every room may use."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class AuditEvent(models.Model):
    """One act of one actor; append-only (a database trigger refuses changes).

    `actor` is the user's id or a process name such as "schedule"; no foreign key, so that erasing a
    person does not touch the log.
    """

    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=100)
    verb = models.CharField(max_length=60)
    target = models.CharField(max_length=200)
    line = models.UUIDField(null=True, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["line", "-at", "-id"], name="audit_newest_of_line"),
            models.Index(fields=["target"], name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.target}"


class Notice(models.Model):
    """Something one person should know; shown in the page, and sent by e-mail where configured.

    `topic` makes a notice unique per person, so that a repeated alarm does not pile up.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices"
    )
    topic = models.CharField(max_length=200)
    level = models.CharField(
        max_length=10, choices=[("info", "Information"), ("attention", "Attention"), ("bad", "Bad")]
    )
    text = models.CharField(max_length=500)
    url = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "topic"], name="notice_once_per_topic")
        ]
        indexes = [
            models.Index(fields=["user", "read_at", "-created_at"], name="notice_unread"),
            models.Index(fields=["user", "-created_at", "-id"], name="notice_newest"),
        ]

    def __str__(self) -> str:
        return self.text


class KeptAnswer(models.Model):
    """The answer to a write of the programming interface, for the same request coming again.

    `token` and `key` are the caller's, `digest` is the SHA-256 of the request; kept for a day.
    """

    token = models.UUIDField()
    key = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=200)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="kept_answer_once")]

    def __str__(self) -> str:
        return self.key


class RequestCount(models.Model):
    """How many requests of a token were counted in its latest minute, one row a token.

    `minute` is the number of whole minutes since 1970; the programming interface counts in one statement.
    """

    token = models.UUIDField(primary_key=True)
    minute = models.BigIntegerField()
    asked = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.asked} in minute {self.minute}"
