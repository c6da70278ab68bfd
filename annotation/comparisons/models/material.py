"""What is compared: prompts, each on one side of the split for ever, and their completions."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Split(models.TextChoices):
    TRAIN = "train", "Training"
    VALIDATION = "validation", "Validation"
    TEST = "test", "Test"
    EVALUATION = "evaluation", "Evaluation"


class RootSplit(models.Model):
    """On which side of the split a root conversation lies, for ever, in one line."""

    line = models.UUIDField()
    root_hash = models.CharField(max_length=64)
    split = models.CharField(max_length=10, choices=Split.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "root_hash"], name="root_split_once")
        ]

    def __str__(self) -> str:
        return f"{self.root_hash[:12]}: {self.split}"


class RetiredRoot(models.Model):
    """An evaluation root whose labels were released to training: no gate of the line draws a prompt of it
    any more, for ever (a database trigger sees to that), and labels on it may train."""

    line = models.UUIDField()
    root_hash = models.CharField(max_length=64)
    retired_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "root_hash"], name="retired_root_once")
        ]

    def __str__(self) -> str:
        return f"{self.root_hash[:12]} since {self.retired_at:%Y-%m-%d}"


class Prompt(models.Model):
    """A conversation that awaits an answer: `messages` is [{"role", "content"}, ...].

    `root_hash` names the root conversation (or the group that an import named); prompts of one
    root lie on one side of the split. `digest` is the hash of the messages and the root.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField()
    messages = models.JSONField()
    digest = models.CharField(max_length=64)
    root_hash = models.CharField(max_length=64)
    split = models.CharField(max_length=10, choices=Split.choices)
    source = models.CharField(max_length=100, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "digest"], name="prompt_once_per_line")
        ]
        indexes = [
            models.Index(fields=["line", "split"], name="prompt_line_split"),
            models.Index(fields=["line", "root_hash"], name="prompt_line_root"),
            models.Index(
                fields=["line", "source", "external_id"],
                name="prompt_external",
                condition=~Q(external_id=""),
            ),
        ]

    def __str__(self) -> str:
        return str(self.messages[-1]["content"])[:80]


class Completion(models.Model):
    """One answer with its provenance. `model_version` is empty for imported texts.

    `ended` is false when the text was cut off at the token limit.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="completions")
    model_version = models.UUIDField(null=True, blank=True)
    artifact_sha256 = models.CharField(max_length=64, blank=True)
    sampling = models.JSONField(default=dict)
    seed = models.BigIntegerField(null=True, blank=True)
    text = models.TextField(blank=True)
    text_sha256 = models.CharField(max_length=64)
    tokens = models.PositiveIntegerField(null=True, blank=True)
    ended = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "text_sha256"],
                name="imported_completion_once",
                condition=Q(model_version__isnull=True),
            )
        ]
        indexes = [models.Index(fields=["model_version"], name="completion_model_version")]

    def __str__(self) -> str:
        return self.text[:80]
