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

    `fence` counts the attempts: a child that holds an older number may write nothing. `job_fence` is the
    attempt that a scheduler's job carries out; without one there is no such job to come back to. `job` is a
    `JobStanding`, as it was last heard.
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
    backend = models.CharField(max_length=20, default="local")
    job_id = models.CharField(max_length=100, blank=True)
    job_fence = models.PositiveIntegerField(null=True, blank=True)
    job = models.JSONField(null=True, blank=True)
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
        indexes = [
            models.Index(fields=["state", "lease_expires_at"], name="run_lease"),
            models.Index(fields=["-created_at", "-id"], name="run_newest"),
            models.Index(fields=["line", "-created_at", "-id"], name="run_newest_of_line"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.id)[:8]}"

    @property
    def stored(self) -> str:
        """Where the run lies in the artifact store."""
        return f"runs/{self.id}"

    @property
    def directory(self) -> Path:
        return Path(settings.ARTIFACT_ROOT) / self.stored


class JobReport(models.Model):
    """What a job that shares no folder with its worker has told the site; of the run's last such attempt.

    `secret` opens the site to that attempt; the worker draws it, who has no key of the site to sign with.
    `fence` is the attempt, `holder` the job that carries it out, `begun` how often it has begun: of two that
    run by mistake the later one counts. `accelerate` is its configuration. `stop`: the worker wants it to save
    and end. `tree` is the run directory for the next attempt: path -> SHA-256 of everything that is in the
    store. `exit_code`, `failure` and `manifest` are there once it has ended.
    """

    run = models.OneToOneField(
        Run, on_delete=models.CASCADE, primary_key=True, related_name="report"
    )
    fence = models.PositiveIntegerField()
    secret = models.CharField(max_length=64)
    accelerate = models.TextField()
    holder = models.CharField(max_length=100, blank=True)
    begun = models.PositiveIntegerField(default=0)
    heard_at = models.DateTimeField(null=True, blank=True)
    stop = models.BooleanField(default=False)
    log = models.TextField(blank=True)
    tree = models.JSONField(default=dict)
    exit_code = models.IntegerField(null=True, blank=True)
    failure = models.JSONField(null=True, blank=True)
    manifest = models.JSONField(null=True, blank=True)

    def __str__(self) -> str:
        return f"attempt {self.fence} of {self.run_id}"


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
