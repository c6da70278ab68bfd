"""What users of the deployed policy said of its answers, apart from every label.

No preference, gate label or count is read from these tables: anybody who may ask the policy server
may write here.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q


class SignalSwitch(models.Model):
    """A line that keeps answers for feedback; no row: it keeps none. `opinion`: its rounds train a reward head on
    what users say."""

    line_id = models.UUIDField(primary_key=True)
    opinion = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"signals of {self.line_id}"


class ServedCompletion(models.Model):
    """An answer that feedback may still be given on; deleted when its time is over.

    `conversation` is the hash of `messages`, the same for the same question typed again.
    """

    id = models.CharField(max_length=64, primary_key=True)
    line_id = models.UUIDField()
    version_id = models.UUIDField()
    messages = models.JSONField()
    conversation = models.CharField(max_length=64)
    text = models.TextField()
    served_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.id


class Signal(models.Model):
    """What one user said of one completion, which may be gone by now; `user` is a keyed hash, or empty."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    line_id = models.UUIDField()
    version_id = models.UUIDField()
    completion_id = models.CharField(max_length=64)
    user = models.CharField(max_length=64, blank=True, db_index=True)
    thumb = models.CharField(max_length=4, blank=True)
    edit = models.TextField(blank=True)
    text = models.TextField(blank=True)
    regenerated = models.BooleanField(default=False)
    given_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["completion_id", "user"], name="signal_once_a_user"),
            models.CheckConstraint(
                condition=Q(thumb__in=["", "up", "down"]), name="signal_thumb_known"
            ),
        ]
        indexes = [models.Index(fields=["line_id", "given_at"], name="signal_line_time")]

    def __str__(self) -> str:
        return f"signal on {self.completion_id}"


class SignalVote(models.Model):
    """Whether most thumbs of a user in a period were down, as they stood when the vote was counted.

    A period is one term of a version in service. A vote is never changed, so that a test may look at the
    votes as they come.
    """

    period_id = models.UUIDField()
    user = models.CharField(max_length=64, db_index=True)
    down = models.BooleanField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period_id", "user"], name="signal_vote_once_a_user")
        ]

    def __str__(self) -> str:
        return f"vote in {self.period_id}"
