"""The annotator's home: one big Start with what is waiting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from annotation.accounts.models import Rater
from annotation.accounts.services import rater_for
from annotation.campaigns.models import Campaign, CampaignState
from annotation.campaigns.selectors import guidelines_unread
from web.access import ADJUDICATOR, ANNOTATOR, lines_of, person
from web.registry import NavigationLink, Panel

from .exclusions import rater_left_out
from .page_texts import share_spent_text
from .qualifying import must_qualify
from .selectors import pairs_available, progress_for
from .shares import gate_share_spent


def start_read(request: HttpRequest) -> Mapping[str, Any]:
    rater = rater_for(user=person(request))  # the home page is for signed-in people
    campaigns = Campaign.objects.filter(state=CampaignState.ACTIVE).order_by("-created_at")
    lines = lines_of(request.user, ANNOTATOR, ADJUDICATOR)
    if lines is not None:
        campaigns = campaigns.filter(line__in=lines)
    rows = [_row(campaign, rater) for campaign in campaigns]
    rows.sort(key=lambda row: not row["available"])
    return {"rows": rows}


def _row(campaign: Campaign, rater: Rater) -> dict[str, Any]:
    paused = rater_left_out(rater=rater, campaign=campaign)
    to_qualify = not paused and must_qualify(rater=rater, campaign=campaign)
    available = not paused and not to_qualify and pairs_available(rater=rater, campaign=campaign)
    spent = None if available else gate_share_spent(rater=rater, campaign=campaign)
    return {
        "campaign": campaign,
        "available": available,
        "paused": paused,
        "to_qualify": to_qualify,
        "progress": progress_for(rater=rater, campaign=campaign),
        "share_spent": share_spent_text(spent),
        "guidelines_unread": guidelines_unread(rater=rater, campaign=campaign),
    }


ANSWERS = NavigationLink(
    "comparisons.history",
    "Your answers",
    "comparisons:history",
    frozenset({ANNOTATOR, ADJUDICATOR}),
    15,
)
START = Panel(
    key="comparisons.start",
    roles=frozenset({ANNOTATOR, ADJUDICATOR}),
    order=10,
    template="comparisons/panels/start.html",
    read=start_read,
)
