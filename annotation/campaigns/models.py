"""A campaign: what is asked, of how many people, under which guidelines."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

OVERALL = "overall"
# Answers to one prompt that stand side by side: a pair, or as many as a person can put in order.
PAIR, FEWEST_RANKED, MOST_RANKED = 2, 3, 9
MOST_TURNS = 20  # messages to the policy in one conversation

SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]
PRICE = [MinValueValidator(0.0), MaxValueValidator(1e6)]


class CampaignState(models.TextChoices):
    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    CLOSED = "closed", "Closed"


class Campaign(models.Model):
    """Questions put to raters for one policy line; several campaigns may feed one line.

    `overlap` people judge each pair; a random `overlap_sample_share` of the pairs is judged by
    `overlap_sample_size` instead, so that agreement can be measured. With `overlap_sure` (a probability)
    the others are asked about until their better side is that sure or `overlap_most` people have. The three
    shares say how often the queue draws a gate pair, a gold item and a repeat. With `gold_feedback` a wrong
    answer to a gold item is told to who gave it, with the right one. An adjudicator is asked about pairs of
    which at least `adjudication_share` of the decided votes are for the other side. Before their first pair
    people answer `qualification_items` gold items, and pass with a share of `qualification_pass` right in one
    of `qualification_tries`; 0 items are no test. `hidden_names` holds one a line: they are hidden wherever an
    answer has them. `span_labels` are those with which parts of an answer are marked, as `span_labels.labels_of`
    reads them. What a person's answer and an hour on pairs cost, and the date by which the labels are
    wanted, are held against what was done; nothing is refused for their sake.

    `answers` to a prompt stand side by side: two are compared on the scale, three to nine are put in order. It
    is chosen when the campaign is made and stays. What asks for two answers by its nature (gate pairs, gold
    items, repeats, the test, asking again where votes differ) is not for a campaign that ranks.

    With `turns` people write to the deployed policy and compare its two answers, so many times in one
    conversation at most; `opening` tells them what to write about. That too is chosen when the campaign is made;
    gate pairs are not for such a campaign, since nobody would come to them between two turns.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField(db_index=True)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=140, unique=True)
    state = models.CharField(
        max_length=8, choices=CampaignState.choices, default=CampaignState.DRAFT
    )
    answers = models.PositiveSmallIntegerField(
        default=PAIR, validators=[MinValueValidator(PAIR), MaxValueValidator(MOST_RANKED)]
    )
    turns = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MOST_TURNS)]
    )
    opening = models.TextField(blank=True, max_length=2000)
    overlap = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    overlap_sample_share = models.FloatField(default=0.1, validators=SHARE)
    overlap_sample_size = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1)]
    )
    overlap_sure = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.51), MaxValueValidator(0.999)]
    )
    overlap_most = models.PositiveSmallIntegerField(default=5, validators=[MinValueValidator(2)])
    lease_minutes = models.PositiveSmallIntegerField(default=30, validators=[MinValueValidator(1)])
    gate_share = models.FloatField(default=0.5, validators=SHARE)
    gold_share = models.FloatField(default=0.05, validators=SHARE)
    repeat_share = models.FloatField(default=0.05, validators=SHARE)
    qualification_items = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(50)]
    )
    qualification_pass = models.FloatField(
        default=0.8, validators=[MinValueValidator(0.01), MaxValueValidator(1.0)]
    )
    qualification_tries = models.PositiveSmallIntegerField(
        default=2, validators=[MinValueValidator(1)]
    )
    adjudication_share = models.FloatField(
        default=0.3, validators=[MinValueValidator(0.01), MaxValueValidator(0.5)]
    )
    daily_goal = models.PositiveIntegerField(default=100)
    label_budget = models.PositiveIntegerField(null=True, blank=True)
    answer_price = models.FloatField(null=True, blank=True, validators=PRICE)
    hour_price = models.FloatField(null=True, blank=True, validators=PRICE)
    due_on = models.DateField(null=True, blank=True)
    gold_feedback = models.BooleanField(default=False)
    sensitive_warning = models.TextField(blank=True)
    markdown = models.BooleanField(default=True)
    hidden_names = models.TextField(blank=True)
    span_labels = models.JSONField(default=list, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
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
            models.CheckConstraint(
                condition=Q(answers=PAIR)
                | Q(
                    answers__range=(FEWEST_RANKED, MOST_RANKED),
                    gate_share=0,
                    gold_share=0,
                    repeat_share=0,
                    qualification_items=0,
                    overlap_sure__isnull=True,
                ),
                name="campaign_ranking_asks_plainly",
                violation_error_message=(
                    "A campaign that ranks three answers or more has no gate pairs, gold items, repeats,"
                    " qualification test or asking again where votes differ, for these compare two"
                    " answers: leave their shares and numbers at 0, or make a campaign of pairs."
                ),
            ),
            models.CheckConstraint(
                condition=Q(turns__isnull=True)
                | Q(turns__range=(1, MOST_TURNS), answers=PAIR, gate_share=0),
                name="campaign_conversation_compares_two",
                violation_error_message=(
                    "In a campaign of conversations two answers are compared and no gate pairs are drawn:"
                    " leave the answers at 2 and the share of gate pairs at 0, or leave the turns out."
                ),
            ),
        ]
        indexes = [models.Index(fields=["line", "state"], name="campaign_line_state")]

    def __str__(self) -> str:
        return self.name

    @property
    def ranks(self) -> bool:
        """Whether people put three answers or more in order, rather than compare two."""
        return self.answers > PAIR

    @property
    def converses(self) -> bool:
        """Whether people write to the policy themselves, and compare its two answers turn by turn."""
        return self.turns is not None


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


class SensitiveOptIn(models.Model):
    """A rater wants to work on sensitive content after reading this warning.

    Another wording is another question; who changes their mind takes the row away.
    """

    rater = models.ForeignKey("accounts.Rater", on_delete=models.CASCADE, related_name="opt_ins")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="opt_ins")
    warning = models.TextField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rater", "campaign"], name="sensitive_opt_in_once")
        ]

    def __str__(self) -> str:
        return f"{self.rater} works on {self.campaign}"


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
