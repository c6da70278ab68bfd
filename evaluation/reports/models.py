"""The stored reports, one row for each revision of a round's record and never changed; and a small row for
each round, so that a page of many rounds reads no report."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import cached_property
from typing import Any

from django.db import models

from evaluation.contracts import Interval, RoundRecord, RoundSummary


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


class ListedRound(models.Model):
    """A round as the pages of its line list it, kept by `report_store` and made of reports alone.

    `summary` (a `RoundSummary` as JSON) is of the report that was stored last and lists the round; `verdict`
    and `compute_hours` repeat it, to be counted. Of the round's own last report: whether there is one
    (`reported`), whether a check was let through (`overridden`), and the names of the versions that its labels
    compare. `rating` is the candidate's from all labels of the line, an `Interval` as JSON, or null.
    """

    line = models.UUIDField()
    number = models.PositiveIntegerField()
    summary = models.JSONField()
    verdict = models.CharField(max_length=14, blank=True)
    compute_hours = models.FloatField(default=0.0)
    reported = models.BooleanField(default=False)
    overridden = models.BooleanField(default=False)
    candidate = models.CharField(max_length=120, blank=True)
    incumbent = models.CharField(max_length=120, blank=True)
    rating = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "number"], name="round_listed_once"),
        ]
        indexes = [
            models.Index(
                fields=["line"],
                include=["verdict", "overridden", "compute_hours"],
                name="round_listed_sums",
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.number}: {self.verdict or 'undecided'}"

    @property
    def frozen(self) -> RoundSummary:
        """The summary, with the rating where it brought none of its own."""
        summary = RoundSummary.from_json(self.summary)
        if summary.rating is not None or self.rating is None:
            return summary
        return replace(summary, rating=Interval.from_json(self.rating))


def _as_stored(stored: Any, typed: Any) -> Any:
    """The fields of `stored`, with numbers as the contract types them: the database reads 1e16 as whole."""
    if isinstance(stored, dict) and isinstance(typed, dict):
        return {k: _as_stored(v, typed[k]) if k in typed else v for k, v in stored.items()}
    if isinstance(stored, list) and isinstance(typed, list | tuple):
        return [_as_stored(v, t) for v, t in zip(stored, typed, strict=True)]
    return typed
