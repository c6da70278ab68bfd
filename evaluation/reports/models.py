"""The stored reports: one row for each revision of a round's record, never changed."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import Any

from django.db import models

from evaluation.contracts import RoundRecord


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

    @cached_property
    def frozen(self) -> RoundRecord:
        """The record as this release reads it."""
        return RoundRecord.from_json(self.record)

    def document(self) -> Any:
        """The record as it was stored, by whatever release: `sha256` is the digest of this."""
        return _as_stored(self.record, self.frozen.to_json())


def _as_stored(stored: Any, typed: Any) -> Any:
    """The fields of `stored`, with numbers as the contract types them: the database reads 1e16 as whole."""
    if isinstance(stored, dict) and isinstance(typed, dict):
        return {k: _as_stored(v, typed[k]) if k in typed else v for k, v in stored.items()}
    if isinstance(stored, list) and isinstance(typed, list | tuple):
        return [_as_stored(v, t) for v, t in zip(stored, typed, strict=True)]
    return typed
