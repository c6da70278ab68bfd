"""What people said beside their answers: flags, reasons, and why they skipped; of one person or of all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment, AssignmentState
from annotation.comparisons.records import FLAGS, SKIP_REASONS

from .answers import AnswerArrays, judgments_in_force

MOST_FLAGGED = 20_000


@dataclass(frozen=True)
class CountRow:
    """`key` is what the list behind it is asked by."""

    key: str
    name: str
    count: int


def told(campaign: Campaign, rater: Rater | None, answers: AnswerArrays) -> dict[str, Any]:
    """Flags and reasons of the answers that were read, and skips; of one person or of all."""
    judged = judgments_in_force(campaign=campaign, rater=rater)
    if answers.cut and len(answers.at):
        oldest = datetime.fromtimestamp(float(answers.at.min()), UTC)
        judged = judged.filter(created_at__gte=oldest)
    skipped = Assignment.objects.filter(
        comparison__campaign=campaign, state=AssignmentState.SKIPPED
    )
    if rater is not None:
        skipped = skipped.filter(rater=rater)
    flagged = judged.exclude(flags=[]).order_by("-created_at").values_list("flags", flat=True)
    flags = Counter(key for row in flagged[:MOST_FLAGGED] for key in {f["key"] for f in row})
    grouped = skipped.values("skip_reason").annotate(n=Count("pk")).order_by("-n", "skip_reason")
    return {
        "flags": tuple(
            CountRow(key, FLAGS.get(key, key), count) for key, count in flags.most_common()
        ),
        "reasons": judged.exclude(rationale="").count(),
        "skips": tuple(
            CountRow(row["skip_reason"], skip_words(row["skip_reason"]), row["n"])
            for row in grouped[:20]
        ),
    }


def skip_words(reason: str) -> str:
    return str(SKIP_REASONS.get(reason, reason))
