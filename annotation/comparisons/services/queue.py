"""The next pair for a rater: claimed by row locks, at a cost that does not grow with the campaign."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import PAIR, Campaign, GuidelineVersion
from annotation.campaigns.selectors import guidelines_current
from annotation.comparisons import digests
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Purpose,
    RaterQueue,
    Slot,
)
from annotation.comparisons.records import Lease
from annotation.comparisons.shares import gate_queues_open

from .admission import admission_check
from .budgets import budget_answers
from .leases import expired_released, lease_end, rater_queue_locked
from .material import slots_for

# A repeat comes back after at least this many answers, drawn from the ones just before.
REPEAT_DISTANCE, REPEAT_WINDOW = 10, 20
# In place of the state of an assignment that does not exist.
NEVER_MET = ""
# A page holds the pair it shows and three ahead; the answers to some more may still be on their way.
MOST_HELD = 12
# With so few open pairs left a person holds one ahead and no more, so that the rest is there for others.
SCARCE = 10


def queue_lease_next(*, rater: Rater, campaign: Campaign) -> Lease | None:
    """The pair the rater has before them, or a newly claimed one; None when there is none left.

    Raises `GuidelinesUnread` before the first item and after a change, `OptInMissing` where the campaign
    warns of its content and the rater has not agreed, `QueueClosed` when the campaign is not active or
    the rater may not label in it.
    """
    found = queue_lease(rater=rater, campaign=campaign)
    return found[0] if found else None


@transaction.atomic
def queue_lease(
    *,
    rater: Rater,
    campaign: Campaign,
    held: Collection[UUID] = (),
    count: int = 1,
    prefer: UUID | None = None,
    claim: bool = True,
) -> list[Lease]:
    """The leases of `held` that are still the rater's, renewed, and up to `count` more.

    Those the rater has already come first, `prefer` before all, then newly claimed ones, if `claim`. Raises
    as `queue_lease_next` does.
    """
    campaign.refresh_from_db(
        fields=[
            "state",
            "label_budget",
            "lease_minutes",
            "qualification_items",
            "sensitive_warning",
        ]
    )
    guidelines = guidelines_current(campaign=campaign)
    admission_check(rater, campaign, guidelines)
    queue = rater_queue_locked(rater=rater, campaign_id=campaign.pk)
    mine = Assignment.objects.filter(
        rater=rater,
        comparison__campaign=campaign,
        state=AssignmentState.LEASED,
        parked_at=None,
    ).order_by("leased_at")
    rows = list(mine.select_for_update(of=("self",)).values_list("pk", flat=True))
    kept = [pk for pk in rows if pk in held]
    met = sorted((pk for pk in rows if pk not in held), key=lambda pk: pk != prefer)[:count]
    until = lease_end(campaign)
    leases = _renewed([*kept, *met], until, guidelines)
    wanted = min(count - len(met), MOST_HELD - len(rows)) if claim else 0
    if wanted > 0:
        expired_released(limit=50)
    for ahead in range(len(rows), len(rows) + wanted):
        fresh = _claim(queue, rater, campaign) if _may_claim(campaign, ahead) else None
        if fresh is None:
            break
        fresh.lease_expires_at, fresh.guideline_version = until, guidelines
        fresh.save()
        leases.append(Lease(fresh.pk, until))
    return leases


def _renewed(
    assignments: list[UUID], until: datetime, guidelines: GuidelineVersion | None
) -> list[Lease]:
    if not assignments:
        return []
    Assignment.objects.filter(pk__in=assignments).update(
        lease_expires_at=until, guideline_version=guidelines
    )
    return [Lease(pk, until) for pk in assignments]


def _may_claim(campaign: Campaign, held: int) -> bool:
    """Whether a rater with `held` leases gets one more: by the budget, and by what is left for others."""
    if not budget_left(campaign):
        return False
    if held < 2:
        return True
    return Comparison.objects.filter(campaign=campaign, open=True)[: SCARCE + 1].count() > SCARCE


def budget_left(campaign: Campaign) -> bool:
    """Whether the campaign wants an answer beside those that it has and that people are at."""
    if campaign.label_budget is None:
        return True
    labels = budget_answers([campaign.pk]).get(campaign.pk, 0)
    leased = Assignment.objects.filter(
        comparison__campaign=campaign, state=AssignmentState.LEASED
    ).count()
    return labels + leased < campaign.label_budget


def _claim(queue: RaterQueue, rater: Rater, campaign: Campaign) -> Assignment | None:
    """A place in the next pair, taken; the assignment is not saved yet."""
    for purpose in _purposes_drawn(queue, rater, campaign):
        if purpose == Purpose.REPEAT:
            assignment = _repeat_made(queue, rater, campaign)
        elif purpose == Purpose.GATE:
            assignment = _gate_pair_claimed(rater, campaign)
        else:
            assignment = _pair_claimed(queue, rater, campaign, purpose)
        if assignment is not None:
            queue.leases += 1
            queue.save(update_fields=["leases", "positions"])
            return assignment
    return None


def _purposes_drawn(queue: RaterQueue, rater: Rater, campaign: Campaign) -> tuple[str, ...]:
    """Which kinds to try, in order: a draw by the campaign's shares, the rest as second choice."""
    drawn = digests.uniform("kind", campaign.slug, rater.pseudonym, str(queue.leases))
    for purpose, share in (
        (Purpose.GATE, campaign.gate_share),
        (Purpose.GOLD, campaign.gold_share),
        (Purpose.REPEAT, campaign.repeat_share),
    ):
        drawn -= share
        if drawn < 0:
            rest = [p for p in (Purpose.TRAINING, Purpose.GATE) if p != purpose]
            return (purpose, *rest)
    return (Purpose.TRAINING, Purpose.GATE)


def _pair_claimed(
    queue: RaterQueue, rater: Rater, campaign: Campaign, purpose: str
) -> Assignment | None:
    """A place in the next pair of this purpose.

    The search goes on from where the rater was, then once round from the beginning.
    """
    position = queue.positions.get(purpose, -1.0)
    rows = _open_pairs(rater, campaign, purpose)
    if purpose == Purpose.GOLD:
        rows = rows.exclude(pair_digest__in=_gold_met(rater, campaign))
    comparison = rows.filter(queue_key__gt=position).first()
    if comparison is None and position >= 0:
        comparison = rows.filter(queue_key__lte=position).first()
    if comparison is None:
        return None
    queue.positions[purpose] = comparison.queue_key
    return _place_taken(comparison, rater, campaign.answers)


def _gold_met(rater: Rater, campaign: Campaign) -> QuerySet[Comparison, Any]:
    """The texts of gold items that the rater has had, in the test too: one that was edited does not come
    to them again."""
    had = Assignment.objects.filter(rater=rater).exclude(state=AssignmentState.EXPIRED)
    gold = Comparison.objects.filter(campaign=campaign, purpose=Purpose.GOLD)
    edited = Q(closed_at__isnull=False, assignments__in=had)
    return gold.filter(edited | Q(qualification_answers__attempt__rater=rater)).values(
        "pair_digest"
    )


def _gate_pair_claimed(rater: Rater, campaign: Campaign) -> Assignment | None:
    """A place in the first open pair of a gate, for a rater who has not had their share of it.

    Always from the beginning: what people have been shown is then the first part of the drawn order.
    """
    queues = gate_queues_open(rater=rater, campaign=campaign)
    left = {queue.round_id: queue.pk for queue in queues if queue.share_left}
    if not left:
        return None
    pairs = _open_pairs(rater, campaign, Purpose.GATE)
    if len(left) < len(queues):
        # where all open pairs are of these rounds, the index alone orders them
        pairs = pairs.filter(round_id__in=left)
    comparison = pairs.first()
    if comparison is None:
        return None
    assignment = _place_taken(comparison, rater)
    assignment.gate_queue_id = left.get(comparison.round_id)
    return assignment


def _open_pairs(rater: Rater, campaign: Campaign, purpose: str) -> QuerySet[Any, Any]:
    """Pairs with a free place that this rater has not had, in the drawn order, to be locked; `met` is
    the state of the rater's assignment."""
    # A scalar subquery is looked up row by row; an anti-join would read all that the rater ever had.
    mine = Assignment.objects.filter(comparison=OuterRef("pk"), rater=rater).values("state")[:1]
    return (
        Comparison.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(campaign=campaign, purpose=purpose, open=True)
        .annotate(met=Coalesce(Subquery(mine), Value(NEVER_MET)))
        .filter(met__in=(NEVER_MET, AssignmentState.EXPIRED))
        .order_by("queue_key")
    )


def _place_taken(comparison: Any, rater: Rater, answers: int = PAIR) -> Assignment:
    """The caller holds the comparison's lock, and saves the assignment."""
    comparison.leased += 1
    comparison.save(update_fields=["leased"])
    if comparison.met == NEVER_MET:
        return Assignment(
            comparison=comparison,
            rater=rater,
            shown_order=(
                places_drawn(comparison, rater, answers)
                if answers > PAIR
                else sides_drawn(comparison, rater)
            ),
        )
    return _revived(Assignment.objects.get(comparison=comparison, rater=rater))


def _revived(expired: Assignment) -> Assignment:
    """The rater's expired assignment come back to life; not saved yet."""
    expired.state = AssignmentState.LEASED
    expired.leased_at = timezone.now()
    expired.parked_at = None
    return expired


def sides_drawn(comparison: Comparison, rater: Rater) -> list[int]:
    """Which slot stands left: a fair draw that a seeded run repeats and no client can choose."""
    drawn = digests.uniform("sides", comparison.pair_digest, comparison.purpose, rater.pseudonym)
    return [1, 2] if drawn < 0.5 else [2, 1]


def places_drawn(comparison: Comparison, rater: Rater, answers: int) -> list[int]:
    """The slots of answers to be ranked in the order shown: a fair draw as well, every order as likely."""
    drawn = {
        slot: digests.uniform(
            "places", comparison.pair_digest, comparison.purpose, rater.pseudonym, str(slot)
        )
        for slot in range(1, answers + 1)
    }
    return sorted(drawn, key=drawn.__getitem__)


def _repeat_made(queue: RaterQueue, rater: Rater, campaign: Campaign) -> Assignment | None:
    """An earlier pair of this rater once more, sides flipped: a comparison of its own.

    One that was made for them and never answered comes first: nobody else can have it.
    """
    unanswered = Assignment.objects.filter(
        rater=rater,
        comparison__campaign=campaign,
        comparison__purpose=Purpose.REPEAT,
        comparison__open=True,
        state=AssignmentState.EXPIRED,
    ).first()
    if unanswered is not None:
        pair = Comparison.objects.filter(pk=unanswered.comparison_id)
        pair.update(leased=F("leased") + 1)
        return _revived(unanswered)
    answered = Assignment.objects.filter(
        rater=rater, comparison__campaign=campaign, state=AssignmentState.SUBMITTED
    ).order_by("-submitted_at")
    window = answered.select_related("comparison")[
        REPEAT_DISTANCE : REPEAT_DISTANCE + REPEAT_WINDOW
    ]
    again = Comparison.objects.filter(purpose=Purpose.REPEAT, assignments__rater=rater)
    candidates = [a for a in window if a.comparison.purpose in (Purpose.TRAINING, Purpose.GATE)]
    done = set(
        again.filter(repeat_of__in=[a.comparison_id for a in candidates]).values_list(
            "repeat_of_id", flat=True
        )
    )
    candidates = [a for a in candidates if a.comparison_id not in done]
    if not candidates:
        return None
    drawn = digests.uniform("repeat", campaign.slug, rater.pseudonym, str(queue.leases))
    return _repeat_of(candidates[int(drawn * len(candidates))], rater)


def _repeat_of(earlier: Assignment, rater: Rater) -> Assignment:
    original = earlier.comparison
    comparison = Comparison.objects.create(
        campaign_id=original.campaign_id,
        prompt_id=original.prompt_id,
        purpose=Purpose.REPEAT,
        repeat_of=original,
        strategy="repeat",
        pair_digest=original.pair_digest,
        queue_key=original.queue_key,
        wanted=1,
        leased=1,
    )
    completions = [slot.completion for slot in original.slots.select_related("completion")]
    Slot.objects.bulk_create(slots_for(comparison, completions))
    return Assignment(comparison=comparison, rater=rater, shown_order=earlier.shown_order[::-1])
