"""A policy that answers a share of the requests unseen, after the deployed one has, and how the two compare.

No text and no user is kept: of every day only counts and sums.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from evaluation.gates.actors import ACTOR_LENGTH


class Shadow(models.Model):
    """`beside` is the deployment whose requests it answers; with that it ends, or when a canary starts.

    `served_at` is when the policy server first answered with it, `served_error` its last failure, empty when it
    answers.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField()
    version = models.UUIDField()
    beside = models.ForeignKey("gates.Deployment", on_delete=models.PROTECT, related_name="+")
    share = models.PositiveSmallIntegerField()
    actor = models.CharField(max_length=ACTOR_LENGTH)
    started_at = models.DateTimeField(auto_now_add=True)
    served_at = models.DateTimeField(null=True, blank=True)
    served_error = models.TextField(blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=ACTOR_LENGTH, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["line"], name="shadow_one_under_way", condition=Q(ended_at=None)
            ),
            models.CheckConstraint(condition=Q(share__gte=1, share__lte=100), name="shadow_share"),
        ]
        indexes = [models.Index(fields=["line", "-started_at"], name="shadow_of_line")]

    def __str__(self) -> str:
        return f"shadow {self.version}"


class ShadowDay(models.Model):
    """What became of a day's (UTC) requests that were drawn for a shadow.

    `answered` both did; of these are the sums, and the refusals: by the shadow, by the deployed policy, and by
    the one and not the other. `failed`: the shadow gave no answer; `dropped`: it was not asked, as users were
    being answered.
    """

    shadow = models.ForeignKey(Shadow, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    answered = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    dropped = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    deployed_seconds = models.FloatField(default=0.0)
    characters = models.PositiveBigIntegerField(default=0)
    deployed_characters = models.PositiveBigIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    deployed_refused = models.PositiveIntegerField(default=0)
    refused_alone = models.PositiveIntegerField(default=0)
    deployed_refused_alone = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["shadow", "day"], name="shadow_day_once")]

    def __str__(self) -> str:
        return f"{self.shadow} on {self.day}"
