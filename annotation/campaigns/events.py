"""What programs outside are told of campaigns."""

from __future__ import annotations

from django.urls import reverse

from web.events import Event, event_tell
from web.registry import EventKind

from .models import Campaign, CampaignState

OPENED, CLOSED, FINISHED = "campaign.opened", "campaign.closed", "campaign.finished"
KINDS = (
    EventKind(OPENED, "A campaign gives out pairs, for the first time or again.", 40),
    EventKind(CLOSED, "A campaign was closed by a person.", 41),
    EventKind(FINISHED, "A campaign has as many answers as its budget allows.", 42),
)
BY_STATE = {CampaignState.ACTIVE: OPENED, CampaignState.CLOSED: CLOSED}


def state_tell(campaign: Campaign) -> None:
    """That it was opened or closed; a draft and a pause are told to nobody."""
    kind = BY_STATE.get(CampaignState(campaign.state))
    if kind is not None:
        campaign_tell(campaign, kind)


def campaign_tell(campaign: Campaign, kind: str, *, key: str = "") -> None:
    """With a key it is told once."""
    event_tell(
        Event(
            kind=kind,
            line_id=campaign.line,
            data={
                "campaign": str(campaign.pk),
                "name": campaign.name,
                "state": str(campaign.state),
                "label_budget": campaign.label_budget,
            },
            url=reverse("campaigns:detail", args=[campaign.pk]),
            key=f"{kind} {key}" if key else "",
        )
    )
