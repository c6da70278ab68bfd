"""Imports and exports as jobs: what was asked, how far it is, what came of it."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class JobState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class FileJob(models.Model):
    """What an import and an export have alike: whose it is, how far it is, what came of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField(db_index=True)
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=9, choices=JobState.choices, default=JobState.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    rows_done = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    actor = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        ordering = ["-created_at"]


class ImportJob(FileJob):
    """One file taken in. `options` is an `ImportOptions` as JSON, `counts` an `ImportCounts`."""

    campaign = models.ForeignKey(
        "campaigns.Campaign",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="imports",
    )
    path = models.CharField(max_length=500)
    name = models.CharField(max_length=200)
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class ImportRejection(models.Model):
    """A row that was not taken in, and why."""

    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="rejections")
    line_number = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    excerpt = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["line_number"]
        indexes = [models.Index(fields=["job", "line_number"], name="rejection_job_line")]

    def __str__(self) -> str:
        return f"Line {self.line_number}: {self.reason}"


class ExportJob(FileJob):
    """One file written from the judgments of a line. `options` is an `ExportOptions` as JSON."""

    path = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"Export of {self.created_at:%Y-%m-%d %H:%M}"
