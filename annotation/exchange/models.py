"""Imports and exports as jobs: what was asked, how far it is, what came of it."""

from __future__ import annotations

from django.db import models

from web.jobs import SiteJob


class FileJob(SiteJob):
    """What an import and an export have alike, beside what every job has."""

    options = models.JSONField(default=dict)
    rows_done = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict)

    class Meta(SiteJob.Meta):
        abstract = True


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
