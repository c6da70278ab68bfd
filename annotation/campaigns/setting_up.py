"""The step of setting a line up that is a campaign's."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from web.access import ENGINEER, LEAD
from web.registry import SetUpStep, StepAct, StepState

from .models import Campaign, CampaignState
from .selectors import campaign_of_line, guidelines_current


def campaign_step(campaign: Campaign | None) -> StepState:
    """A campaign is there once people are given its pairs."""
    if campaign is None:
        return StepState(
            False, "No campaign yet: it says what people are asked to compare, and how."
        )
    name = f"“{campaign.name}”"
    if guidelines_current(campaign=campaign) is None:
        return StepState(False, f"{name} has no guidelines yet.")
    start = StepAct(
        "Start the campaign", reverse("campaigns:state", args=[campaign.pk]), {"state": "active"}
    )
    if campaign.state == CampaignState.DRAFT:
        return StepState(
            False, f"{name} is a draft: nobody is given its pairs before it starts.", start
        )
    if campaign.state != CampaignState.ACTIVE:
        return StepState(False, f"{name} is {campaign.get_state_display().lower()}.", start)
    return StepState(True, f"{name} is open to annotators.")


def _read(request: HttpRequest, line_id: UUID) -> StepState:
    return campaign_step(campaign_of_line(line_id=line_id))


STEP = SetUpStep(
    "campaign",
    "Campaign",
    frozenset({ENGINEER, LEAD}),
    20,
    lambda line_id: reverse("campaigns:set_up", args=[line_id]),
    _read,
)
