"""Who was shown what, in which order, and what they said of it."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from .pairs import Comparison, GateQueue


class AssignmentState(models.TextChoices):
    LEASED = "leased", "Leased"
    SUBMITTED = "submitted", "Submitted"
    SKIPPED = "skipped", "Skipped"
    EXPIRED = "expired", "Expired"
    SETTLED = "settled", "Settled"


class Assignment(models.Model):
    """One comparison given to one rater: there is never a second, so no pair comes back.

    `shown_order` lists slot positions from left to right. An expired assignment that the queue
    gives to the same rater again is this same row, with the same order and the draft kept.
    `lease_expires_at` is empty for imported votes, which were never leased, and for a lease that was
    given back unseen. A settled one is an adjudicator's, who saw the votes and was given nothing by the
    queue. `touched_at` is when the rater last answered, skipped, drafted or took back;
    `parked_at` when they put it aside with its draft: it is not given to them until they open it, and its
    lease runs on. `gate_queue` is that of a gate pair: one rater's share is counted by it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="assignments")
    rater = models.ForeignKey(
        "accounts.Rater", on_delete=models.PROTECT, related_name="assignments"
    )
    gate_queue = models.ForeignKey(
        GateQueue,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="assignments",
    )
    shown_order = ArrayField(models.PositiveSmallIntegerField())
    state = models.CharField(
        max_length=9, choices=AssignmentState.choices, default=AssignmentState.LEASED
    )
    leased_at = models.DateTimeField(default=timezone.now)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    guideline_version = models.ForeignKey(
        "campaigns.GuidelineVersion",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    draft = models.JSONField(default=dict)
    draft_saved_at = models.DateTimeField(null=True, blank=True)
    skip_reason = models.CharField(max_length=300, blank=True)
    touched_at = models.DateTimeField(default=timezone.now)
    parked_at = models.DateTimeField(null=True, blank=True)

    left_out: bool  # of one that is locked: whether an answer given now would count for nothing

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["comparison", "rater"], name="assignment_once_per_rater"
            )
        ]
        indexes = [
            models.Index(
                fields=["lease_expires_at"],
                name="assignment_live_leases",
                condition=Q(state=AssignmentState.LEASED),
            ),
            models.Index(
                fields=["rater", "leased_at"],
                name="assignment_rater_live",
                condition=Q(state=AssignmentState.LEASED),
            ),
            models.Index(fields=["rater", "-submitted_at"], name="assignment_rater_submitted"),
            models.Index(
                fields=["-leased_at", "-id"],
                name="assignment_skipped",
                condition=Q(state=AssignmentState.SKIPPED),
            ),
            models.Index(
                fields=["leased_at"],
                name="assignment_imported",
                condition=Q(lease_expires_at__isnull=True),
            ),
            models.Index(fields=["rater", "-touched_at", "-id"], name="assignment_rater_touched"),
            models.Index(
                fields=["gate_queue", "rater"],
                name="assignment_gate_share",
                condition=Q(gate_queue__isnull=False) & ~Q(state=AssignmentState.EXPIRED),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id} for {self.rater_id}"


class Judgment(models.Model):
    """What a rater said, never changed (a database trigger refuses it) but for being superseded.

    An edit is a new revision; so is undoing, with `withdrawn` set and no values. At most one
    revision is `active`: that one counts. `surplus` came when its place was already taken.
    `both_bad` stands beside the value; `flags` are keys such as "unsafe". `spans` are marked parts, each with
    the key of its label, its slot, `start` and `end` (exclusive) in characters (code points) of the stored text.
    Where answers were ranked, `levels` has the level of each slot in slot order, 1 the best and equal ones a tie,
    and there are no values.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="judgments")
    rater = models.ForeignKey("accounts.Rater", on_delete=models.PROTECT, related_name="judgments")
    revision = models.PositiveSmallIntegerField(default=1)
    active = models.BooleanField(default=True)
    superseded_at = models.DateTimeField(null=True, blank=True)
    withdrawn = models.BooleanField(default=False)
    guideline_version = models.ForeignKey(
        "campaigns.GuidelineVersion",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    surplus = models.BooleanField(default=False)
    both_bad = models.BooleanField(default=False)
    levels = ArrayField(models.PositiveSmallIntegerField(), null=True, blank=True)
    flags = models.JSONField(default=list)
    spans = models.JSONField(default=list)
    rationale = models.TextField(blank=True)
    reasons = models.JSONField(default=list)
    idempotency_key = models.CharField(max_length=100)
    seconds = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["assignment", "revision"], name="judgment_revision_once"
            ),
            models.UniqueConstraint(
                fields=["assignment"], name="judgment_active_once", condition=Q(active=True)
            ),
            models.UniqueConstraint(
                fields=["rater", "idempotency_key"], name="judgment_idempotent"
            ),
            models.CheckConstraint(
                condition=Q(active=False) | Q(withdrawn=False, superseded_at__isnull=True),
                name="judgment_active_counts",
            ),
        ]
        indexes = [
            models.Index(fields=["rater", "-created_at"], name="judgment_rater_recent"),
            models.Index(fields=["created_at"], name="judgment_recent"),
        ]

    def __str__(self) -> str:
        return f"Revision {self.revision} of {self.assignment_id}"


class JudgmentValue(models.Model):
    """The value of one criterion, 1..7 in slot order: 1 slot 1 much better, 4 tie."""

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="values")
    criterion = models.ForeignKey("campaigns.Criterion", on_delete=models.PROTECT, related_name="+")
    value = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["judgment", "criterion"], name="value_once"),
            models.CheckConstraint(condition=Q(value__range=(1, 7)), name="value_on_scale"),
        ]

    def __str__(self) -> str:
        return f"{self.criterion}: {self.value}"


class RaterQueue(models.Model):
    """How far one rater has come in one campaign; its row lock makes the rater's requests queue up.

    `leases` seeds the draw of the next kind of pair. `positions` holds the last `queue_key` seen
    for each purpose: the search for the next pair starts there, not at pairs long since judged.
    """

    campaign = models.ForeignKey(
        "campaigns.Campaign", on_delete=models.CASCADE, related_name="queues"
    )
    rater = models.ForeignKey("accounts.Rater", on_delete=models.CASCADE, related_name="queues")
    leases = models.PositiveIntegerField(default=0)
    labels = models.PositiveIntegerField(default=0)
    positions = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "rater"], name="queue_once_per_rater")
        ]

    def __str__(self) -> str:
        return f"{self.rater} in {self.campaign}"
