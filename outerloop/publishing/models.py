"""Models that are pushed elsewhere: what was asked, how far it is, what came of it."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class PushState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Destination(models.TextChoices):
    HUB = "hub", "Model hub"
    MLFLOW = "mlflow", "MLflow registry"


class Push(models.Model):
    """One model version on its way to `name`, a repository of the hub or a model of the MLflow registry.

    `version` is the training room's. `reference` is what the other side calls the result: a commit, or the
    number of a version. No address and no token is kept: both are the operator's settings.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField(db_index=True)
    version = models.UUIDField(db_index=True)
    destination = models.CharField(max_length=6, choices=Destination.choices)
    name = models.CharField(max_length=200)
    private = models.BooleanField(default=True)
    state = models.CharField(max_length=9, choices=PushState.choices, default=PushState.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    reference = models.CharField(max_length=100, blank=True)
    error = models.TextField(blank=True)
    actor = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "pushes"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"Push to {self.name}"
