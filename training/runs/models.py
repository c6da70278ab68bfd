"""Runs of learning programs, what they report, and the registry of what they made."""

from __future__ import annotations

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models


class RunState(models.TextChoices):
    PENDING = "pending", "Waiting"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Finished"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Run(models.Model):
    """One order to a learning program. `line` and `round` are identities of the roof's rows.

    `fence` counts the attempts: a child that holds an older number may write nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField(db_index=True)
    round = models.UUIDField(null=True, blank=True, db_index=True)
    kind = models.CharField(max_length=40)
    state = models.CharField(max_length=12, choices=RunState.choices, default=RunState.PENDING)
    seed = models.BigIntegerField()
    spec = models.JSONField()
    spec_sha256 = models.CharField(max_length=64)
    fence = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=200, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    compute_seconds = models.FloatField(default=0)
    exit_code = models.IntegerField(null=True, blank=True)
    error = models.TextField(blank=True)
    manifest = models.JSONField(null=True, blank=True)
    cleared_at = models.DateTimeField(
        null=True, blank=True, help_text="When retention took what the run made; its log stays."
    )

    class Meta:
        indexes = [models.Index(fields=["state", "lease_expires_at"], name="run_lease")]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.id)[:8]}"

    @property
    def directory(self) -> Path:
        return Path(settings.ARTIFACT_ROOT) / "runs" / str(self.id)


class RunEventRow(models.Model):
    """One line of a run's events file, unique on run and seq, so that reading twice adds nothing."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    at = models.DateTimeField()
    phase = models.CharField(max_length=60)
    step = models.PositiveIntegerField()
    total_steps = models.PositiveIntegerField()
    metrics = models.JSONField(default=dict)
    message = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="run_event_once")]

    def __str__(self) -> str:
        return f"{self.phase} {self.step}/{self.total_steps}"


class ModelKind(models.TextChoices):
    POLICY = "policy", "Policy"
    REWARD_MODEL = "reward_model", "Reward model"
    HELD_OUT_REWARD_MODEL = "held_out_reward_model", "Held-out reward model"


class ModelVersion(models.Model):
    """An artifact directory that a line may use; `path` is relative to the artifact store."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField(db_index=True)
    kind = models.CharField(max_length=30, choices=ModelKind.choices)
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=120)
    path = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, blank=True)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True)
    meta = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(
        null=True, blank=True, help_text="When retention took its files; the row stays."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "kind", "number"], name="model_version_number")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def directory(self) -> Path:
        return Path(settings.ARTIFACT_ROOT) / self.path


class Retention(models.Model):
    """Why a model version must not be deleted: it is deployed, or a decision refers to it."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="retentions")
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "reason"], name="retention_once")]

    def __str__(self) -> str:
        return self.reason


class Snapshot(models.Model):
    """The preferences that one round learned from: immutable, named by the hash of its rows."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField(db_index=True)
    recipe = models.JSONField()
    sha256 = models.CharField(max_length=64)
    path = models.CharField(max_length=500)
    rows = models.PositiveIntegerField()
    counts = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "sha256"], name="snapshot_content_once")
        ]

    def __str__(self) -> str:
        return f"snapshot {self.sha256[:12]}"

    @property
    def file(self) -> Path:
        return Path(settings.ARTIFACT_ROOT) / self.path
