"""The qualification test of a campaign: gold items, answered before the first real pair."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class QualificationTry(models.Model):
    """One try of one rater. `passed` is empty while it is under way."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(
        "campaigns.Campaign", on_delete=models.PROTECT, related_name="qualification_runs"
    )
    rater = models.ForeignKey(
        "accounts.Rater", on_delete=models.PROTECT, related_name="qualification_runs"
    )
    number = models.PositiveSmallIntegerField()
    finished_at = models.DateTimeField(null=True, blank=True)
    passed = models.BooleanField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "rater", "number"], name="qualification_try_once"
            ),
            models.UniqueConstraint(
                fields=["campaign", "rater"],
                name="qualification_one_under_way",
                condition=Q(passed__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"Try {self.number} of {self.rater}"


class QualificationAnswer(models.Model):
    """One gold item of a try; `value` in slot order, empty until it is answered. It is no judgment: nothing
    is learned from it and no figure of quality counts it."""

    attempt = models.ForeignKey(QualificationTry, on_delete=models.CASCADE, related_name="answers")
    comparison = models.ForeignKey(
        "comparisons.Comparison", on_delete=models.PROTECT, related_name="qualification_answers"
    )
    position = models.PositiveSmallIntegerField()
    shown_order = ArrayField(models.PositiveSmallIntegerField())
    value = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["attempt", "position"], name="qualification_position_once"
            ),
            models.CheckConstraint(
                condition=Q(value__isnull=True) | Q(value__range=(1, 7)),
                name="qualification_value_on_scale",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position} of {self.attempt_id}"
