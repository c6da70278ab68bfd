"""A promoted policy that answers a share of the users beside the deployed one, before it is deployed.

It moves no pointer: rounds, gates and the loop's own sampling read `LinePointer` and see nothing of it.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from evaluation.gates.actors import ACTOR_LENGTH
from evaluation.gates.routing import LEAST_SHARE, MOST_SHARE


class CanaryEnd(models.TextChoices):
    WIDENED = "widened", "Widened to everybody"
    TAKEN_BACK = "taken_back", "Taken back"
    WORSE = "worse", "Taken back by itself: shown worse"
    OVERTAKEN = "overtaken", "Ended by a rollback"


class Canary(models.Model):
    """One canary, append-only (migration 0009).

    `beside` is the deployment that answers the rest. `served_at` is filled in once, when the policy server
    first answered with the canary; `served_error` holds its last failure, and is emptied when it answers again;
    `crashes` counts how often its server ended by itself, last at `crashed_at`. `outcome`, `ended_at` and
    `ended_by` are filled in once, together.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField()
    version = models.UUIDField()
    round = models.UUIDField(unique=True)
    beside = models.ForeignKey("gates.Deployment", on_delete=models.PROTECT, related_name="+")
    share = models.PositiveSmallIntegerField()
    days = models.PositiveSmallIntegerField()
    actor = models.CharField(max_length=ACTOR_LENGTH)
    started_at = models.DateTimeField(auto_now_add=True)
    served_at = models.DateTimeField(null=True, blank=True)
    served_error = models.TextField(blank=True)
    crashes = models.PositiveIntegerField(default=0)
    crashed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=CanaryEnd.choices, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=ACTOR_LENGTH, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["line"], name="canary_one_under_way", condition=Q(outcome="")
            ),
            models.CheckConstraint(
                condition=Q(share__gte=LEAST_SHARE, share__lte=MOST_SHARE), name="canary_share"
            ),
            models.CheckConstraint(
                condition=Q(outcome="", ended_at=None, ended_by="")
                | ~Q(outcome="") & Q(ended_at__isnull=False) & ~Q(ended_by=""),
                name="canary_ended_whole",
            ),
        ]
        indexes = [models.Index(fields=["line", "-started_at"], name="canary_of_line")]

    def __str__(self) -> str:
        return f"canary {self.version}"
