"""What pages show of a whole campaign, kept by triggers on the tables that it is counted from.

Each statement that changes pairs or assignments, whoever sends it, adds the difference as rows of its own: no
row is updated, so annotators at work do not wait for each other. The sum over a campaign's rows is the count.
Now and then a statement folds the rows of what it touched into one.
"""

from __future__ import annotations

from django.db import models

from .pairs import Purpose


class QueueCount(models.Model):
    """A part of the sums over the pairs of one campaign and purpose: `asked` are pairs that want an answer,
    the others as the columns of `Comparison`."""

    campaign = models.ForeignKey(
        "campaigns.Campaign",
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="queue_counts",
        db_index=False,
    )
    purpose = models.CharField(max_length=13, choices=Purpose.choices)
    asked = models.BigIntegerField()
    open = models.BigIntegerField()
    leased = models.BigIntegerField()
    judged = models.BigIntegerField()
    wanted = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["campaign", "purpose"], name="queue_count_of")]

    def __str__(self) -> str:
        return f"{self.judged} of {self.wanted} {self.get_purpose_display()}"


class RaterCount(models.Model):
    """A part of the sums over the assignments of one rater in one campaign: all that were `given`, and of
    these the ones in the states `submitted` and `skipped`."""

    campaign = models.ForeignKey(
        "campaigns.Campaign",
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="rater_counts",
        db_index=False,
    )
    rater = models.ForeignKey(
        "accounts.Rater",
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="counts",
        db_index=False,
    )
    given = models.BigIntegerField()
    submitted = models.BigIntegerField()
    skipped = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["campaign", "rater"], name="rater_count_of")]

    def __str__(self) -> str:
        return f"{self.rater_id}: {self.submitted} of {self.given}"
