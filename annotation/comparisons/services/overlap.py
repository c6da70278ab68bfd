"""How many people a pair is asked of: fixed, or, where the campaign wants it, until its better side is sure.

The random sample of pairs that is judged by more people stays as it is, whatever they say: agreement is
measured on pairs of which the answers did not decide how many people were asked.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q

from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons import digests
from annotation.comparisons.exclusions import counting
from annotation.comparisons.models import Comparison, JudgmentValue, Purpose
from annotation.comparisons.scale import TIE
from annotation.statistics.overlap import asks_again

PAIR = "judgment__assignment__comparison"
CHUNK = 500


def overlap_sampled(campaign: Campaign, pair_digest: str) -> bool:
    """Whether the pair is of the drawn share that is judged by more people."""
    return digests.uniform("overlap", pair_digest) < campaign.overlap_sample_share


def overlap_reconsider(comparison: Comparison) -> bool:
    """Ask one more person about the pair, or nobody else, by the votes on it that count; whether they say so.

    The caller holds the comparison's lock, and has changed its answers. Nothing happens where the campaign
    has a fixed overlap, to pairs of the sample, and to pairs that decide or measure.
    """
    if not _by_votes(comparison):
        return False
    _places_set(comparison, _votes([comparison.pk]).get(comparison.pk, (0, 0, 0)))
    return True


def overlap_apply(*, campaign: Campaign) -> tuple[int, int]:
    """Reconsider every pair of the campaign that has an answer: (asked again, asked no more).

    In parts of `CHUNK` pairs, each in a transaction of its own and locked by their rows, so that people go
    on working meanwhile. Every pair is read: about a second for 10,000.
    """
    again = closed = 0
    rows = Comparison.objects.filter(
        campaign=campaign, purpose=Purpose.TRAINING, closed_at=None, judged__gt=0
    )
    pairs = list(rows.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(pairs), CHUNK):
        for before, after in _part_apply(pairs[start : start + CHUNK]):
            again += after > before
            closed += after < before
    return again, closed


@transaction.atomic
def _part_apply(pairs: Collection[UUID]) -> list[tuple[int, int]]:
    """(free places before, after) of each pair."""
    rows = Comparison.objects.select_for_update(of=("self",)).select_related("campaign")
    locked = [pair for pair in rows.filter(pk__in=pairs).order_by("pk") if _by_votes(pair)]
    votes = _votes([pair.pk for pair in locked])
    changed = []
    for pair in locked:
        before = pair.wanted - pair.judged - pair.leased
        _places_set(pair, votes.get(pair.pk, (0, 0, 0)))
        changed.append((before, pair.wanted - pair.judged - pair.leased))
    return changed


def _by_votes(comparison: Comparison) -> bool:
    campaign = comparison.campaign
    return (
        campaign.overlap_sure is not None
        and comparison.purpose == Purpose.TRAINING
        and comparison.closed_at is None
        and not overlap_sampled(campaign, comparison.pair_digest)
    )


def _places_set(comparison: Comparison, votes: tuple[int, int, int]) -> None:
    """Places that are taken, and one more where one more person is to be asked and nobody is at it."""
    campaign = comparison.campaign
    assert campaign.overlap_sure is not None
    more = asks_again(*votes, sure=campaign.overlap_sure, most=campaign.overlap_most)
    wanted = comparison.judged + max(comparison.leased, int(more))
    if (comparison.wanted, comparison.adaptive) != (wanted, True):
        comparison.wanted, comparison.adaptive = wanted, True
        comparison.save(update_fields=["wanted", "adaptive"])


def _votes(pairs: Collection[UUID]) -> dict[UUID, tuple[int, int, int]]:
    """Votes that count, by pair: for the first slot, ties, for the second."""
    rows = JudgmentValue.objects.filter(criterion__key=OVERALL, **{f"{PAIR}__in": pairs})
    found = (
        counting(rows)
        .order_by()
        .values_list(f"{PAIR}_id")
        .annotate(
            first=Count("pk", filter=Q(value__lt=TIE)),
            tied=Count("pk", filter=Q(value=TIE)),
            second=Count("pk", filter=Q(value__gt=TIE)),
        )
    )
    return {pair: (first, tied, second) for pair, first, tied, second in found}
