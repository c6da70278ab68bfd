"""What the quality page measures is kept where measuring is slow, so that nobody waits for it.

A page shows what was measured in the last minutes and says when; the first look after a while shows what was
measured last, of a week at most, and has it made anew. What a lead has left out or taken in again since is measured
anew at once. A sweep measures anew while somebody looks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, Max
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Exclusion
from web.records import record_shape

from .pages import QualityMeasures, quality_measure

# Seconds: measures that take longer than SLOW are kept; those that were asked for in the last ASKED and are older
# than OLD are made anew by the sweep. It comes every few seconds: what is older than STALE waits for it.
SLOW, OLD, ASKED, KEPT = 0.2, 120, 600, 7 * 86_400
STALE = 300
Stamp = tuple[int, datetime | None, datetime | None]


@dataclass(frozen=True)
class KeptMeasures:
    """`stamp` tells what was left out then."""

    measures: QualityMeasures
    stamp: Stamp


def quality_measures(*, campaign: Campaign) -> QualityMeasures:
    """Of now, or of the last minutes where they are slow; of the last week where nobody had asked for them."""
    key, stamp = _key(campaign), _stamp(campaign)
    kept: KeptMeasures | None = cache.get(key)
    if kept is None or kept.stamp != stamp:
        return _measured(campaign, stamp)
    cache.add(f"{key}-asked", 1, ASKED)
    return kept.measures


def measures_stale(measures: QualityMeasures) -> bool:
    """Whether newer ones are to come."""
    return measures.at < timezone.now() - timedelta(seconds=STALE)


def quality_measures_renew() -> int:
    """Measure anew what pages have asked for lately; returns how many campaigns. For a sweep, whose workers share
    them out."""
    campaigns = {f"{_key(campaign)}-asked": campaign for campaign in Campaign.objects.all()}
    asked = [campaigns[key] for key in cache.get_many(campaigns)]
    kept = cache.get_many([_key(campaign) for campaign in asked])
    old = timezone.now() - timedelta(seconds=OLD)
    measured = 0
    for campaign in asked:
        key = _key(campaign)
        if key in kept and kept[key].measures.at < old and cache.add(f"{key}-measuring", 1, OLD):
            _measured(campaign, _stamp(campaign))
            measured += 1
    return measured


def _measured(campaign: Campaign, stamp: Stamp) -> QualityMeasures:
    """`stamp` is of before, so that what is left out meanwhile is seen."""
    began = time.monotonic()
    found = quality_measure(campaign=campaign)
    if time.monotonic() - began > SLOW:
        cache.set(_key(campaign), KeptMeasures(found, stamp), KEPT)
    else:
        cache.delete(
            _key(campaign)
        )  # kept when it was slow: what is quick is measured at every look
    return found


def _stamp(campaign: Campaign) -> Stamp:
    """Changes with everything that is left out of the line's campaigns, or taken in again."""
    rows = Exclusion.objects.filter(line=campaign.line)
    found = rows.aggregate(n=Count("pk"), out=Max("excluded_at"), back=Max("lifted_at"))
    return found["n"], found["out"], found["back"]


def _key(campaign: Campaign) -> str:
    return f"quality-{_SHAPE}-{campaign.pk}"


_SHAPE = record_shape(KeptMeasures)
