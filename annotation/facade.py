"""The annotation room's front door for the other rooms: frozen dataclasses in and out.

Models, querysets and requests stay inside. Lines, rounds and model versions are opaque UUIDs here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from annotation.accounts.models import User
from annotation.accounts.services import membership_grant
from annotation.campaigns import services as campaigns
from annotation.campaigns.models import Campaign, CampaignState
from annotation.campaigns.selectors import (
    campaign_for_pairs,
    campaign_ranking,
    guidelines_text,
)
from annotation.campaigns.selectors import campaign_summaries as line_campaigns
from annotation.campaigns.services import line_campaigns_archive
from annotation.comparisons.counts import counts_mend, counts_wrong, queue_sums
from annotation.comparisons.digests import PROMPT_SHARES
from annotation.comparisons.gauges import campaign_gauges
from annotation.comparisons.models import Comparison, Judgment, Purpose
from annotation.comparisons.records import Answer, ComparisonView
from annotation.comparisons.remarks import training_remarks
from annotation.comparisons.services import (
    gate_labels_release,
    gate_queue_close,
    gate_queue_reopen,
    pairs_create,
    prompts_ensure,
)
from annotation.comparisons.services.simulating import labels_simulate
from annotation.comparisons.shares import gate_shares
from annotation.comparisons.streams import (
    gate_labels,
    overlap_votes,
    training_rankings,
    training_values,
)
from annotation.comparisons.streams import preferences as preferences_stream
from annotation.comparisons.streams import prompts as prompts_stream
from annotation.comparisons.uses import label_shares
from annotation.comparisons.wear import evaluation_prompt_count, prompt_wear
from annotation.comparisons.wear import gate_prompts as gate_prompts_stream
from annotation.contracts import GateQueueStatus, NewPair, NewPrompt, QueueStatus
from annotation.exchange.answers import better_answers_read
from annotation.exchange.retention import files_of_ended_jobs as exchange_files_ended
from annotation.quality.exclusions import gate_exclusions
from annotation.quality.progress import campaign_days
from annotation.quality.selectors import label_summary
from annotation.signals.estimates import ThumbShare
from annotation.signals.examples import (
    signal_examples,
    signal_opinion_on,
    signal_opinion_switch,
)
from annotation.signals.selectors import line_signals, signals_on
from annotation.signals.services import (
    NewSignal,
    SignalRefused,
    completion_keep,
    signal_give,
    signals_expire,
    signals_switch,
    user_hash,
)
from annotation.signals.troubled import (
    TroubledPrompt,
    troubled_prompts,
    troubled_prompts_add,
)
from annotation.signals.votes import signal_votes, signal_votes_count

__all__ = [
    "Answer",
    "ComparisonView",
    "NewSignal",
    "SignalRefused",
    "ThumbShare",
    "TroubledPrompt",
    "better_answers_read",
    "campaign_create",
    "campaign_gauges",
    "campaign_ranking_id",
    "comparisons_create",
    "completion_keep",
    "counts_mend",
    "counts_wrong",
    "evaluation_prompt_count",
    "exchange_files_ended",
    "fresh_label_count",
    "gate_exclusions",
    "gate_labels",
    "gate_labels_release",
    "gate_prompts_stream",
    "gate_queue_close",
    "gate_queue_reopen",
    "gate_queue_status",
    "gate_shares",
    "guidelines_text",
    "label_shares",
    "label_summary",
    "labelling_cost",
    "labels_simulate",
    "labels_since",
    "line_campaigns",
    "line_campaigns_archive",
    "line_signals",
    "overlap_votes",
    "preferences_stream",
    "prompt_wear",
    "prompts_create",
    "prompts_stream",
    "queue_status",
    "role_grant",
    "signal_examples",
    "signal_give",
    "signal_opinion_on",
    "signal_opinion_switch",
    "signal_votes",
    "signal_votes_count",
    "signals_expire",
    "signals_on",
    "signals_switch",
    "training_remarks",
    "troubled_prompts",
    "troubled_prompts_add",
    "user_hash",
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


def labelling_cost(*, line_id: UUID, since: date) -> float | None:
    """Of persons' answers from that day on, by the prices of the line's campaigns; None where none has one."""
    priced = Campaign.objects.filter(line=line_id).exclude(answer_price=None, hour_price=None)
    days = [day for campaign in priced for day in campaign_days(campaign=campaign)]
    if not priced:
        return None
    return sum(day.cost or 0.0 for day in days if day.day >= since)


def fresh_label_count(*, line_id: UUID, since: datetime | None) -> int:
    """Training labels given after `since`, or given before and imported after it (all without it). A ranking
    is one label."""
    values, rankings = training_values(line_id=line_id), training_rankings(line_id=line_id)
    return _fresh(values, "judgment__", since) + _fresh(rankings, "", since)


def _fresh(rows: QuerySet[Any, Any], judgment: str, since: datetime | None) -> int:
    """Of rows with a path to their judgment."""
    if since is None:
        return rows.count()
    # counted apart: each has an index for what is new, and their union would be read from the beginning
    imported = rows.filter(
        **{
            f"{judgment}created_at__lte": since,
            f"{judgment}assignment__lease_expires_at__isnull": True,
            f"{judgment}assignment__leased_at__gt": since,
        }
    )
    return rows.filter(**{f"{judgment}created_at__gt": since}).count() + imported.count()


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
    campaigns = Campaign.objects.filter(line=line_id)
    sums = list(queue_sums(campaigns.values("pk"), "campaign__state", "purpose"))
    recent = Judgment.objects.filter(
        active=True,
        created_at__gte=timezone.now() - RECENT,
        assignment__comparison__campaign__line=line_id,
        assignment__lease_expires_at__isnull=False,
    )
    return QueueStatus(
        open_training=_open_of_active(sums, Purpose.TRAINING),
        open_gate=_open_of_active(sums, Purpose.GATE),
        leased=sum(row["leases"] for row in sums),
        done=sum(row["answers"] for row in sums),
        annotators=recent.values("rater").distinct().count(),
    )


def _open_of_active(sums: Iterable[Mapping[str, Any]], purpose: str) -> int:
    """Pairs with a free place that the queue gives out now."""
    return sum(
        row["open_pairs"]
        for row in sums
        if (row["campaign__state"], row["purpose"]) == (CampaignState.ACTIVE, purpose)
    )


def campaign_create(*, line_id: UUID, name: str, **settings: Any) -> UUID:
    """Make a campaign that is open at once; `settings` are those of `campaigns.services`."""
    return campaigns.campaign_create(
        line_id=line_id, name=name, state=CampaignState.ACTIVE, **settings
    ).pk


def campaign_ranking_id(*, line_id: UUID, answers: int) -> UUID | None:
    """The campaign of the line that takes new answers to be ranked, so many to a prompt; None where there is
    none that is open."""
    found = campaign_ranking(line_id=line_id, answers=answers)
    return found.pk if found else None


def role_grant(*, user_id: UUID, role: str) -> None:
    """Give a person a role on every line; one that they have stays."""
    membership_grant(user=User.objects.get(pk=user_id), role=role)
