"""Writes: campaigns, their guidelines, and the reading of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.text import slugify

from annotation.accounts.models import Rater, User
from annotation.contracts import AnnotationError

from .models import (
    OVERALL,
    Campaign,
    CampaignState,
    Criterion,
    GuidelineAcknowledgement,
    GuidelineVersion,
)

TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    CampaignState.DRAFT: (CampaignState.ACTIVE, CampaignState.CLOSED),
    CampaignState.ACTIVE: (CampaignState.PAUSED, CampaignState.CLOSED),
    CampaignState.PAUSED: (CampaignState.ACTIVE, CampaignState.CLOSED),
    CampaignState.CLOSED: (CampaignState.ACTIVE,),
}


@transaction.atomic
def campaign_create(
    *,
    line_id: UUID,
    name: str,
    guidelines: str = "",
    criteria: Sequence[tuple[str, str]] = (),
    state: str = CampaignState.DRAFT,
    author: User | None = None,
    **settings: Any,
) -> Campaign:
    """Make a campaign; `criteria` are (key, name) beside `overall`, which is always asked."""
    campaign = Campaign(line=line_id, name=name, slug=_free_slug(name), state=state, **settings)
    campaign.full_clean()
    campaign.save(force_insert=True)
    asked = [(OVERALL, "Overall"), *((key, label) for key, label in criteria if key != OVERALL)]
    Criterion.objects.bulk_create(
        Criterion(campaign=campaign, key=key, name=label, position=position)
        for position, (key, label) in enumerate(asked)
    )
    if guidelines.strip():
        guidelines_publish(campaign=campaign, text=guidelines, author=author)
    return campaign


def campaign_update(*, campaign: Campaign, **settings: Any) -> Campaign:
    for name, value in settings.items():
        setattr(campaign, name, value)
    campaign.full_clean()
    campaign.save(update_fields=list(settings))
    return campaign


def campaign_set_state(*, campaign: Campaign, state: str) -> Campaign:
    if state == campaign.state:
        return campaign
    if state not in TRANSITIONS[campaign.state]:
        raise AnnotationError(f"A campaign that is {campaign.state} cannot become {state}.")
    return campaign_update(campaign=campaign, state=state)


@transaction.atomic
def guidelines_publish(
    *, campaign: Campaign, text: str, change_note: str = "", author: User | None = None
) -> GuidelineVersion:
    """Add the next version; every rater acknowledges it before the next item."""
    if not text.strip():
        raise AnnotationError("The guidelines are empty: write what raters should look for.")
    Campaign.objects.select_for_update().get(pk=campaign.pk)
    last = campaign.guidelines.order_by("-number").first()
    return GuidelineVersion.objects.create(
        campaign=campaign,
        number=last.number + 1 if last else 1,
        text=text,
        change_note=change_note,
        author=author,
    )


def guidelines_acknowledge(*, rater: Rater, version: GuidelineVersion) -> GuidelineAcknowledgement:
    return GuidelineAcknowledgement.objects.get_or_create(rater=rater, version=version)[0]


def _free_slug(name: str) -> str:
    base = slugify(name)[:100] or "campaign"
    taken = set(Campaign.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    candidates = (base if n == 1 else f"{base}-{n}" for n in range(1, len(taken) + 2))
    return next(slug for slug in candidates if slug not in taken)
