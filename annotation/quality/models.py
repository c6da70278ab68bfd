"""Decisions about raters that the snapshots obey."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class RaterExclusion(models.Model):
    """A rater's labels are left out from `excluded_at` on, until `lifted_at`; the row stays."""

    rater = models.ForeignKey("accounts.Rater", on_delete=models.PROTECT, related_name="exclusions")
    reason = models.CharField(max_length=300)
    excluded_by = models.CharField(max_length=100)
    excluded_at = models.DateTimeField(default=timezone.now)
    lifted_by = models.CharField(max_length=100, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-excluded_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["rater"],
                name="rater_excluded_once_at_a_time",
                condition=Q(lifted_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.rater}: {self.reason}"
