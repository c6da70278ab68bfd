"""Writes: campaigns, their guidelines, and the reading of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from annotation.accounts.models import Rater, User
from annotation.contracts import AnnotationError

from .events import state_tell
from .models import (
    OVERALL,
    PAIR,
    Campaign,
    CampaignState,
    Criterion,
    GuidelineAcknowledgement,
    GuidelineVersion,
    SensitiveOptIn,
)
from .span_labels import labels_checked

TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    CampaignState.DRAFT: (CampaignState.ACTIVE, CampaignState.CLOSED),
    CampaignState.ACTIVE: (CampaignState.PAUSED, CampaignState.CLOSED),
    CampaignState.PAUSED: (CampaignState.ACTIVE, CampaignState.CLOSED),
    CampaignState.CLOSED: (CampaignState.ACTIVE,),
}
# What the queue draws beside training items compares two answers: a campaign that ranks has none of it.
RANKING_DRAWS: Mapping[str, float] = {"gate_share": 0.0, "gold_share": 0.0, "repeat_share": 0.0}
CONVERSATION_DRAWS: Mapping[str, float] = {"gate_share": 0.0}
RANKS_OVERALL = (
    "A campaign that ranks asks for one order of the answers, the overall one: leave the other criteria out,"
    " or make a campaign of pairs for them."
)


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
    """Make a campaign; `criteria` are (key, name) beside `overall`, which is always asked. One that ranks
    (`answers` of 3 or more) draws training items alone, and one of conversations (`turns`) no gate pairs,
    unless that is asked for and refused. `span_labels` are as `span_labels.labels_checked` takes them."""
    ranks = settings.get("answers", PAIR) != PAIR
    if ranks and any(key != OVERALL for key, _ in criteria):
        raise AnnotationError(RANKS_OVERALL)
    converses = settings.get("turns") is not None
    draws = RANKING_DRAWS if ranks else CONVERSATION_DRAWS if converses else {}
    settings = {**draws, **settings}
    settings["span_labels"] = labels_checked(settings.get("span_labels", ()))
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
    state_tell(campaign)
    return campaign


def campaign_update(*, campaign: Campaign, **settings: Any) -> Campaign:
    for name, value in settings.items():
        setattr(campaign, name, value)
    campaign.full_clean()
    campaign.save(update_fields=list(settings))
    return campaign


@transaction.atomic
def campaign_set_state(*, campaign: Campaign, state: str) -> Campaign:
    if state == campaign.state:
        return campaign
    if campaign.archived_at is not None:
        raise AnnotationError("The campaign is archived: take it back first.")
    if state not in TRANSITIONS[campaign.state]:
        raise AnnotationError(f"A campaign that is {campaign.state} cannot become {state}.")
    campaign_update(campaign=campaign, state=state)
    state_tell(campaign)
    return campaign


def campaign_archive(*, campaign: Campaign, archived: bool) -> Campaign:
    """Take a closed campaign out of lists and choices, or back in; everything in it stays as it is."""
    if archived and campaign.state != CampaignState.CLOSED:
        raise AnnotationError(f"The campaign is {campaign.state}: close it before you archive it.")
    if archived != (campaign.archived_at is not None):
        campaign.archived_at = timezone.now() if archived else None
        campaign.save(update_fields=["archived_at"])
    return campaign


@transaction.atomic
def line_campaigns_archive(*, line_id: UUID) -> int:
    """Close the line's campaigns and archive them with it; returns how many."""
    rows = Campaign.objects.select_for_update().filter(line=line_id, archived_at=None)
    found = list(rows)
    rows.update(state=CampaignState.CLOSED, archived_at=timezone.now())
    for campaign in found:
        if campaign.state != CampaignState.CLOSED:
            campaign.state = CampaignState.CLOSED
            state_tell(campaign)
    return len(found)


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


def sensitive_opt_in(*, rater: Rater, campaign: Campaign, warning: str) -> None:
    """The rater has read `warning` and wants to work on the campaign all the same.

    Raises `AnnotationError` where the campaign warns of nothing, or in other words by now.
    """
    if not campaign.sensitive_warning:
        raise AnnotationError("This campaign has no warning that would have to be agreed to.")
    if _lines(warning) != _lines(campaign.sensitive_warning):
        raise AnnotationError(
            "The warning reads otherwise by now: read it again before you agree to it."
        )
    SensitiveOptIn.objects.update_or_create(
        rater=rater,
        campaign=campaign,
        defaults={"warning": campaign.sensitive_warning, "at": timezone.now()},
    )


def _lines(text: str) -> list[str]:
    """The text without what a form or a browser does to its line ends."""
    return text.strip().splitlines()


def _free_slug(name: str) -> str:
    base = slugify(name)[:100] or "campaign"
    taken = set(Campaign.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    candidates = (base if n == 1 else f"{base}-{n}" for n in range(1, len(taken) + 2))
    return next(slug for slug in candidates if slug not in taken)
