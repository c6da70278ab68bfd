"""A comparison: two or more completions of one prompt in numbered slots, and its place in the queue."""

from __future__ import annotations

import random
import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import ExpressionWrapper, F, Q
from django.utils import timezone

from .material import Completion, Prompt


def queue_key_draw() -> float:
    return random.random()


class Purpose(models.TextChoices):
    TRAINING = "training", "Training"
    GATE = "gate", "Gate"
    GOLD = "gold", "Gold item"
    REPEAT = "repeat_of", "Repeat"


class Comparison(models.Model):
    """Completions to be compared. The row lock of a comparison guards all of its assignments.

    `wanted` places for judgments: `leased` are held by people at work, `judged` are taken by
    judgments that came in time; the rest are free, and while there are any the comparison is `open`.
    `adaptive` marks a pair of which the answers decided how many people are asked: it tells nothing of how
    far people agree.
    A gate pair whose two texts are the same wants none: it is a tie without being asked.
    `queue_key` is drawn once (from `pair_digest`, so that a seeded run repeats), so that the queue
    is in random order without sorting.
    `pair_digest` is the same whichever way round the texts come.
    A gold item knows its answer: `gold_value` in slot order, right within `gold_tolerance` steps (empty:
    any strength on that side), and `gold_explanation` for whom it is explained to; retired it is closed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(
        "campaigns.Campaign", on_delete=models.PROTECT, related_name="comparisons"
    )
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="comparisons")
    purpose = models.CharField(max_length=13, choices=Purpose.choices, default=Purpose.TRAINING)
    repeat_of = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="repeats"
    )
    strategy = models.CharField(max_length=60, default="random")
    probability = models.FloatField(default=1.0)
    pair_digest = models.CharField(max_length=64)
    queue_key = models.FloatField(default=queue_key_draw)
    wanted = models.PositiveSmallIntegerField(default=1)
    judged = models.PositiveSmallIntegerField(default=0)
    leased = models.PositiveSmallIntegerField(default=0)
    adaptive = models.BooleanField(default=False)
    closed_at = models.DateTimeField(null=True, blank=True)
    open = models.GeneratedField(
        expression=ExpressionWrapper(
            Q(closed_at__isnull=True) & Q(wanted__gt=F("judged") + F("leased")),
            output_field=models.BooleanField(),
        ),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    round_id = models.UUIDField(null=True, blank=True)
    gold_value = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(7)]
    )
    gold_tolerance = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(2)]
    )
    gold_explanation = models.TextField(blank=True, max_length=2000)
    source = models.CharField(max_length=100, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(wanted__gte=F("judged") + F("leased")), name="comparison_places_held"
            ),
            models.CheckConstraint(
                condition=Q(gold_value__isnull=True) | Q(gold_value__range=(1, 7)),
                name="comparison_gold_on_scale",
            ),
            models.CheckConstraint(
                condition=Q(purpose=Purpose.REPEAT, repeat_of__isnull=False)
                | (~Q(purpose=Purpose.REPEAT) & Q(repeat_of__isnull=True)),
                name="comparison_repeat_names_its_original",
            ),
            models.UniqueConstraint(
                fields=["round_id", "purpose", "prompt"],
                name="comparison_once_per_round_and_prompt",
                condition=Q(round_id__isnull=False) & ~Q(purpose=Purpose.REPEAT),
            ),
            models.UniqueConstraint(
                fields=["campaign", "pair_digest"],
                name="training_pair_once_per_campaign",
                condition=Q(round_id__isnull=True, purpose=Purpose.TRAINING),
            ),
            models.UniqueConstraint(
                fields=["campaign", "pair_digest"],
                name="gold_pair_once_at_a_time",
                condition=Q(purpose=Purpose.GOLD, closed_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(
                fields=["campaign", "purpose", "queue_key"],
                name="comparison_queue",
                condition=Q(open=True),
            ),
            models.Index(
                fields=["round_id"], name="comparison_round", condition=Q(round_id__isnull=False)
            ),
            models.Index(fields=["campaign", "purpose"], name="comparison_campaign_purpose"),
        ]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} {self.id}"


class GateQueue(models.Model):
    """The gate pairs of one round. `most_per_rater` of them one rater may hold, answer or skip, so that
    no one person decides; empty is no limit, as rounds of earlier releases had."""

    round_id = models.UUIDField(unique=True)
    campaign = models.ForeignKey(
        "campaigns.Campaign", on_delete=models.PROTECT, related_name="gate_queues"
    )
    most_per_rater = models.PositiveIntegerField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["campaign"], name="gate_queue_open", condition=Q(closed_at__isnull=True)
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | Q(closed_at__isnull=False),
                name="gate_queue_released_when_closed",
            )
        ]

    def __str__(self) -> str:
        return f"Gate pairs of round {self.round_id}"


class Slot(models.Model):
    """Which completion stands in place 1..n. Judgments are stored turned to this order."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="slots")
    position = models.PositiveSmallIntegerField()
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="slots")

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["comparison", "position"], name="slot_once"),
            models.CheckConstraint(condition=Q(position__range=(1, 9)), name="slot_position_range"),
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.completion}"
