"""What a lead decided about answers: every read that trains, measures or decides obeys it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class Exclusion(models.Model):
    """Answers of a line that are left out until `lifted_at`; the answers and this row stay.

    Left out is what fits all that is named: a campaign, a rater, a version of the guidelines, and a span of
    time (`since` inclusive, `until` exclusive; when the answer in force was given). `gate_labels` counts by
    round the labels that an undecided gate lost by it, `gate_labels_back` those that it got back.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField()
    campaign = models.ForeignKey(
        "campaigns.Campaign",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="exclusions",
    )
    rater = models.ForeignKey(
        "accounts.Rater", on_delete=models.PROTECT, null=True, blank=True, related_name="exclusions"
    )
    guideline_version = models.ForeignKey(
        "campaigns.GuidelineVersion",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="exclusions",
    )
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300)
    excluded_by = models.CharField(max_length=100)
    excluded_at = models.DateTimeField(default=timezone.now)
    gate_labels = models.JSONField(default=dict)
    lifted_by = models.CharField(max_length=100, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    gate_labels_back = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["line", "campaign", "rater", "guideline_version", "since", "until"],
                name="excluded_once_at_a_time",
                condition=Q(lifted_at__isnull=True),
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(rater__isnull=False)
                | Q(campaign__isnull=False, guideline_version__isnull=False)
                | Q(campaign__isnull=False, since__isnull=False),
                name="exclusion_names_something",
            ),
            models.CheckConstraint(
                condition=Q(since__isnull=True, until__isnull=True) | Q(until__gt=F("since")),
                name="exclusion_span_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["line"], name="exclusion_in_force", condition=Q(lifted_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"Left out: {self.reason}"


class Adjudication(models.Model):
    """An adjudicator's answer in place of the votes on a pair that disagree, until `lifted_at`.

    The answer is a judgment like any other, on an assignment that is `settled`, and surplus: it takes no
    place and stands in no figure of agreement. The votes stay as they are.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    comparison = models.ForeignKey(
        "comparisons.Comparison", on_delete=models.PROTECT, related_name="adjudications"
    )
    judgment = models.OneToOneField(
        "comparisons.Judgment", on_delete=models.PROTECT, related_name="adjudication"
    )
    lifted_by = models.CharField(max_length=100, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["comparison"],
                name="settled_once_at_a_time",
                condition=Q(lifted_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id} settled"


class AnswerReturn(models.Model):
    """An answer that a lead sent back with a word. It waits until another answer supersedes it, and counts
    meanwhile."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    judgment = models.OneToOneField(
        "comparisons.Judgment", on_delete=models.PROTECT, related_name="returned"
    )
    note = models.TextField(max_length=1000)
    sent_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.judgment_id} sent back"


class ThreadMessage(models.Model):
    """A question about a pair by who was given it (`by_rater`), or a lead's answer; one thread a person and
    pair. A thread waits for a lead while its last message is the rater's."""

    assignment = models.ForeignKey(
        "comparisons.Assignment", on_delete=models.PROTECT, related_name="thread"
    )
    by_rater = models.BooleanField()
    text = models.TextField(max_length=2000)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return self.text[:80]
