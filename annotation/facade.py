"""The annotation room's front door for the other rooms: frozen dataclasses in and out.

Models, querysets and requests stay inside. Lines, rounds and model versions are opaque UUIDs here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from annotation.accounts.models import User
from annotation.accounts.services import membership_grant
from annotation.campaigns import selectors as campaigns
from annotation.campaigns import services as campaign_services
from annotation.campaigns.models import CampaignState
from annotation.comparisons import gauges, streams
from annotation.comparisons import services as pairs_services
from annotation.comparisons.digests import PROMPT_SHARES
from annotation.comparisons.models import Comparison, Judgment, Purpose
from annotation.comparisons.records import Answer as Answer
from annotation.comparisons.records import ComparisonView as ComparisonView
from annotation.comparisons.services import simulating
from annotation.contracts import (
    CampaignGauge,
    CampaignSummary,
    GateLabel,
    GateQueueStatus,
    LabelSummary,
    NewPair,
    NewPrompt,
    OverlapVote,
    PreferenceRow,
    PromptRow,
    QueueStatus,
    SnapshotRecipe,
)
from annotation.exchange import retention as exchange
from annotation.quality import selectors as quality

RECENT = timedelta(days=1)


def preferences_stream(*, line_id: UUID, recipe: SnapshotRecipe) -> Iterator[PreferenceRow]:
    """Labels that may train a reward model: of training pairs, active, in time, not excluded.

    Gate labels, repeats, gold items and everything on evaluation prompts never come out here.
    """
    return streams.preferences(line_id=line_id, recipe=recipe)


def fresh_label_count(*, line_id: UUID, since: datetime | None) -> int:
    """Training labels given after `since` (all of them without it)."""
    rows = streams.training_values(line_id=line_id)
    if since is not None:
        rows = rows.filter(judgment__created_at__gt=since)
    return rows.count()


def prompts_stream(
    *, line_id: UUID, splits: tuple[str, ...], limit: int | None = None, seed: int = 0
) -> Iterator[PromptRow]:
    """Prompts of these splits in an order that only `seed` decides."""
    return streams.prompts(line_id=line_id, splits=splits, limit=limit, seed=seed)


def prompts_create(
    *,
    line_id: UUID,
    prompts: Sequence[NewPrompt],
    shares: Mapping[str, float] = PROMPT_SHARES,
) -> list[UUID]:
    """Store prompts, each once per line; returns their ids in the order given.

    `shares` says how the splits of roots that are new to the line are drawn.
    """
    stored = pairs_services.prompts_ensure(line_id=line_id, prompts=prompts, shares=shares)
    return [prompt.pk for prompt in stored]


def comparisons_create(
    *,
    line_id: UUID,
    purpose: str,
    pairs: Iterable[NewPair],
    round_id: UUID | None,
    campaign_id: UUID | None = None,
) -> int:
    """Queue pairs for "training" or "gate"; returns how many are new.

    Idempotent: one for each (round, purpose, prompt). Without `campaign_id` they go to the newest
    campaign of the line, an active one first.
    """
    campaign = campaigns.campaign_for_pairs(line_id=line_id, campaign_id=campaign_id)
    return pairs_services.pairs_create(
        campaign=campaign, purpose=purpose, pairs=pairs, round_id=round_id
    )


def gate_labels(*, round_id: UUID) -> list[GateLabel]:
    """The round's gate labels, one per comparison, ordered by submission."""
    return streams.gate_labels(round_id=round_id)


def gate_queue_close(*, round_id: UUID) -> int:
    """End the gate queue of a decided round; returns how many pairs were unfinished."""
    return pairs_services.gate_queue_close(round_id=round_id)


def gate_queue_reopen(*, round_id: UUID) -> int:
    """Offer the unfinished gate pairs again of a round that was stopped and is taken up."""
    return pairs_services.gate_queue_reopen(round_id=round_id)


def gate_queue_status(*, round_id: UUID) -> GateQueueStatus:
    """(open, leased, done) comparisons of the round's gate queue; it unpacks as a tuple."""
    found = Comparison.objects.filter(round_id=round_id, purpose=Purpose.GATE).aggregate(
        open=Count("pk", filter=Q(open=True)),
        leased=Count("pk", filter=Q(leased__gt=0)),
        done=Count("pk", filter=Q(judged__gte=F("wanted"))),
    )
    return GateQueueStatus(**found)


def overlap_votes(
    *, line_id: UUID, since: datetime | None = None, until: datetime | None = None
) -> list[OverlapVote]:
    """Votes on comparisons that two raters or more judged: for agreement and the human ceiling."""
    return streams.overlap_votes(line_id=line_id, since=since, until=until)


def label_summary(
    *,
    line_id: UUID,
    round_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> LabelSummary:
    """Who labelled how much and how well; `since` inclusive, `until` exclusive."""
    return quality.label_summary(line_id=line_id, round_id=round_id, since=since, until=until)


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
        open_training=streams.open_count(line_id=line_id, purpose=Purpose.TRAINING),
        open_gate=streams.open_count(line_id=line_id, purpose=Purpose.GATE),
        leased=totals["leased"],
        done=totals["done"],
        annotators=recent.values("rater").distinct().count(),
    )


def campaign_create(
    *,
    line_id: UUID,
    name: str,
    guidelines: str,
    criteria: Sequence[tuple[str, str]] = (),
    **settings: Any,
) -> UUID:
    """Make a campaign that is open at once; `criteria` are (key, name) beside `overall`."""
    campaign = campaign_services.campaign_create(
        line_id=line_id,
        name=name,
        guidelines=guidelines,
        criteria=criteria,
        state=CampaignState.ACTIVE,
        **settings,
    )
    return campaign.pk


def role_grant(*, user_id: UUID, role: str) -> None:
    """Give a person a role on every line; one that they have stays."""
    membership_grant(user=User.objects.get(pk=user_id), role=role)


def labels_simulate(
    *,
    campaign_ids: Sequence[UUID],
    names: Sequence[str],
    wanted: int,
    judge: Callable[[str, ComparisonView], Answer | None],
    report: Callable[[int], None],
) -> int:
    """Let simulated raters label as people do, until `wanted` labels are in or the queues are empty.

    `judge` answers what the rater of that name sees, or leaves it to people by None, and `report`
    hears the number so far. Returns that number. A campaign that gives out nothing is passed over.
    """
    return simulating.labels_simulate(
        campaign_ids=campaign_ids, names=names, wanted=wanted, judge=judge, report=report
    )


def line_campaigns(*, line_id: UUID) -> list[CampaignSummary]:
    """The newest first."""
    return campaigns.campaign_summaries(line_id=line_id)


def campaign_gauges() -> list[CampaignGauge]:
    """Queue depth, leases and the labels of the last hour of every open campaign, for monitoring."""
    return gauges.campaign_gauges()


def exchange_files_ended(*, before: datetime) -> list[Path]:
    """Uploads and exports of jobs that ended before this moment, which retention may delete."""
    return list(exchange.files_of_ended_jobs(before=before))
