"""The annotation room's front door for the other rooms: frozen dataclasses in and out.

Models, querysets and requests stay inside. Lines, rounds and model versions are opaque UUIDs here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from annotation.accounts.models import User
from annotation.accounts.services import membership_grant
from annotation.campaigns import services as campaigns
from annotation.campaigns.models import CampaignState
from annotation.campaigns.selectors import campaign_for_pairs
from annotation.campaigns.selectors import campaign_summaries as line_campaigns
from annotation.comparisons.digests import PROMPT_SHARES
from annotation.comparisons.gauges import campaign_gauges
from annotation.comparisons.models import Comparison, Judgment, Purpose
from annotation.comparisons.records import Answer, ComparisonView
from annotation.comparisons.services import (
    gate_queue_close,
    gate_queue_reopen,
    pairs_create,
    prompts_ensure,
)
from annotation.comparisons.services.simulating import labels_simulate
from annotation.comparisons.shares import gate_shares
from annotation.comparisons.streams import (
    gate_labels,
    open_count,
    overlap_votes,
    training_values,
)
from annotation.comparisons.streams import preferences as preferences_stream
from annotation.comparisons.streams import prompts as prompts_stream
from annotation.comparisons.wear import evaluation_prompt_count, prompt_wear
from annotation.comparisons.wear import gate_prompts as gate_prompts_stream
from annotation.contracts import GateQueueStatus, NewPair, NewPrompt, QueueStatus
from annotation.exchange.retention import files_of_ended_jobs as exchange_files_ended
from annotation.quality.selectors import label_summary

__all__ = [
    "Answer",
    "ComparisonView",
    "campaign_create",
    "campaign_gauges",
    "comparisons_create",
    "evaluation_prompt_count",
    "exchange_files_ended",
    "fresh_label_count",
    "gate_labels",
    "gate_prompts_stream",
    "gate_queue_close",
    "gate_queue_reopen",
    "gate_queue_status",
    "gate_shares",
    "label_summary",
    "labels_simulate",
    "labels_since",
    "line_campaigns",
    "overlap_votes",
    "preferences_stream",
    "prompt_wear",
    "prompts_create",
    "prompts_stream",
    "queue_status",
    "role_grant",
]

RECENT = timedelta(days=1)


def labels_since(*, line_id: UUID, since: datetime) -> int:
    """Labels of every purpose given on the line after `since`."""
    return Judgment.objects.filter(
        active=True,
        created_at__gte=since,
        assignment__lease_expires_at__isnull=False,
        assignment__comparison__campaign__line=line_id,
    ).count()


def fresh_label_count(*, line_id: UUID, since: datetime | None) -> int:
    """Training labels given after `since` (all of them without it)."""
    rows = training_values(line_id=line_id)
    if since is not None:
        rows = rows.filter(judgment__created_at__gt=since)
    return rows.count()


def prompts_create(
    *,
    line_id: UUID,
    prompts: Sequence[NewPrompt],
    shares: Mapping[str, float] = PROMPT_SHARES,
) -> list[UUID]:
    """Store prompts, each once per line; returns their ids in the order given.

    `shares` says how the splits of roots that are new to the line are drawn.
    """
    stored = prompts_ensure(line_id=line_id, prompts=prompts, shares=shares)
    return [prompt.pk for prompt in stored]


def comparisons_create(
    *,
    line_id: UUID,
    purpose: str,
    pairs: Iterable[NewPair],
    round_id: UUID | None,
    campaign_id: UUID | None = None,
    most_per_rater: int | None = None,
) -> int:
    """Queue pairs for "training" or "gate"; returns how many are new there.

    Idempotent: one for each (round, purpose, prompt). Without `campaign_id` they go to the newest
    campaign of the line, an active one first. Nobody is asked about two equal texts; of a gate's pairs
    one rater gets `most_per_rater` at most.
    """
    campaign = campaign_for_pairs(line_id=line_id, campaign_id=campaign_id)
    return pairs_create(
        campaign=campaign,
        purpose=purpose,
        pairs=pairs,
        round_id=round_id,
        most_per_rater=most_per_rater,
    )


def gate_queue_status(*, round_id: UUID) -> GateQueueStatus:
    """(open, leased, done) comparisons that people are asked about for the round's gate; it unpacks as a
    tuple."""
    asked = Comparison.objects.filter(round_id=round_id, purpose=Purpose.GATE, wanted__gt=0)
    found = asked.aggregate(
        open=Count("pk", filter=Q(open=True)),
        leased=Count("pk", filter=Q(leased__gt=0)),
        done=Count("pk", filter=Q(judged__gte=F("wanted"))),
    )
    return GateQueueStatus(**found)


def queue_status(*, line_id: UUID) -> QueueStatus:
    """How much there is to label, who is at it, how much is done."""
    totals = Comparison.objects.filter(campaign__line=line_id).aggregate(
        leased=Sum("leased", default=0), done=Sum("judged", default=0)
    )
    recent = Judgment.objects.filter(
        active=True,
        created_at__gte=timezone.now() - RECENT,
        assignment__comparison__campaign__line=line_id,
        assignment__lease_expires_at__isnull=False,
    )
    return QueueStatus(
        open_training=open_count(line_id=line_id, purpose=Purpose.TRAINING),
        open_gate=open_count(line_id=line_id, purpose=Purpose.GATE),
        leased=totals["leased"],
        done=totals["done"],
        annotators=recent.values("rater").distinct().count(),
    )


def campaign_create(*, line_id: UUID, name: str, **settings: Any) -> UUID:
    """Make a campaign that is open at once; `settings` are those of `campaigns.services`."""
    return campaigns.campaign_create(
        line_id=line_id, name=name, state=CampaignState.ACTIVE, **settings
    ).pk


def role_grant(*, user_id: UUID, role: str) -> None:
    """Give a person a role on every line; one that they have stays."""
    membership_grant(user=User.objects.get(pk=user_id), role=role)
