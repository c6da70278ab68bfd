"""What a piece of labelling was expected to take, kept to be held beside what it took."""

from __future__ import annotations

import uuid

from django.db import models

from evaluation.gates.actors import ACTOR_LENGTH


class LabelPlan(models.Model):
    """One plan, append-only (migration 0012): labelling from `kept_at` on is held against it.

    `accuracy` is what the learning curve said of the reward model with all labels of the plan, None where it said
    nothing; `cost` None where no cost of a label was planned with.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField()
    kept_by = models.CharField(max_length=ACTOR_LENGTH)
    kept_at = models.DateTimeField(auto_now_add=True)
    effect = models.FloatField()
    training_labels = models.PositiveBigIntegerField()
    gate_labels = models.PositiveBigIntegerField()
    days = models.PositiveBigIntegerField()
    cost = models.FloatField(null=True)
    accuracy = models.FloatField(null=True)
    accuracy_low = models.FloatField(null=True)
    accuracy_high = models.FloatField(null=True)

    class Meta:
        indexes = [models.Index(fields=["line", "-kept_at"], name="label_plan_of_line")]

    def __str__(self) -> str:
        return f"plan of {self.training_labels + self.gate_labels} labels"
