"""The stored reports: one row for each revision of a round's record, never changed."""

from __future__ import annotations

import uuid

from django.db import models


class RoundReport(models.Model):
    """A round's frozen record as JSON; append-only (a database trigger refuses changes).

    A record that differs from the last one (an approval came, a deployment was served) becomes the
    next revision. `sha256` is the digest of the record's canonical JSON.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    round = models.UUIDField()
    line = models.UUIDField()
    line_slug = models.SlugField(max_length=80)
    number = models.PositiveIntegerField()
    revision = models.PositiveIntegerField()
    record = models.JSONField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["round", "revision"], name="report_revision_once")
        ]
        indexes = [
            models.Index(fields=["line", "number", "-revision"], name="report_by_line"),
            models.Index(fields=["line_slug", "-created_at"], name="report_by_slug"),
        ]

    def __str__(self) -> str:
        return f"{self.line_slug} round {self.number}, revision {self.revision}"
