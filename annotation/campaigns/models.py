"""A campaign: what is asked, of how many people, under which guidelines."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

OVERALL = "overall"

SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class CampaignState(models.TextChoices):
    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    CLOSED = "closed", "Closed"


class Campaign(models.Model):
    """Questions put to raters for one policy line; several campaigns may feed one line.

    `overlap` people judge each pair; a random `overlap_sample_share` of the pairs is judged by
    `overlap_sample_size` instead, so that agreement can be measured. The three shares say how often
    the queue draws a gate pair, a gold item and a repeat.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField(db_index=True)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=140, unique=True)
    state = models.CharField(
        max_length=8, choices=CampaignState.choices, default=CampaignState.DRAFT
    )
    overlap = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    overlap_sample_share = models.FloatField(default=0.1, validators=SHARE)
    overlap_sample_size = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1)]
    )
    lease_minutes = models.PositiveSmallIntegerField(default=30, validators=[MinValueValidator(1)])
    gate_share = models.FloatField(default=0.5, validators=SHARE)
    gold_share = models.FloatField(default=0.05, validators=SHARE)
    repeat_share = models.FloatField(default=0.05, validators=SHARE)
    daily_goal = models.PositiveIntegerField(default=100)
    label_budget = models.PositiveIntegerField(null=True, blank=True)
    sensitive_warning = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(overlap__gte=1, overlap_sample_size__gte=1, lease_minutes__gte=1),
                name="campaign_counts_positive",
            ),
            models.CheckConstraint(
                condition=Q(
                    gate_share__gte=0,
                    gold_share__gte=0,
                    repeat_share__gte=0,
                    overlap_sample_share__range=(0, 1),
                    gate_share__lte=1 - F("gold_share") - F("repeat_share"),
                ),
                name="campaign_shares_add_up",
                violation_error_message=(
                    "The shares of gate pairs, gold items and repeats must add up to 1 at most."
                ),
            ),
        ]
        indexes = [models.Index(fields=["line", "state"], name="campaign_line_state")]

    def __str__(self) -> str:
        return self.name


class Criterion(models.Model):
    """One question on the seven-step scale. `overall` is always asked and trains the reward model."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="criteria")
    key = models.SlugField(max_length=40)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "key"], name="criterion_once_per_campaign")
        ]

    def __str__(self) -> str:
        return self.name


class GuidelineVersion(models.Model):
    """The guidelines as they read at one time. Published text never changes; a new number does."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="guidelines")
    number = models.PositiveIntegerField()
    text = models.TextField(help_text="Markdown")
    change_note = models.CharField(max_length=300, blank=True)
    published_at = models.DateTimeField(default=timezone.now)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "number"], name="guideline_number_once_per_campaign"
            )
        ]

    def __str__(self) -> str:
        return f"Guidelines {self.number}"


class GuidelineAcknowledgement(models.Model):
    """A rater has read this version: asked before the first item and after every change."""

    rater = models.ForeignKey(
        "accounts.Rater", on_delete=models.CASCADE, related_name="acknowledgements"
    )
    version = models.ForeignKey(
        GuidelineVersion, on_delete=models.CASCADE, related_name="acknowledgements"
    )
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rater", "version"], name="acknowledged_once")
        ]

    def __str__(self) -> str:
        return f"{self.rater} read {self.version}"
