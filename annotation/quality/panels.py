"""What waits on the home page: pairs for an adjudicator to settle, one's own answers that came back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from annotation.accounts.services import rater_for
from annotation.campaigns.models import Campaign, CampaignState
from web.access import ADJUDICATOR, ANNOTATOR, LEAD, lines_of, person
from web.registry import Panel

from .disagreements import disagreements
from .questions import threads_waiting
from .returns import returns_waiting


def settling_read(request: HttpRequest) -> Mapping[str, Any] | None:
    campaigns = Campaign.objects.exclude(state=CampaignState.CLOSED)
    lines = lines_of(request.user, ADJUDICATOR)
    if lines is not None:
        campaigns = campaigns.filter(line__in=lines)
    rater = rater_for(user=person(request))
    found = [(c, disagreements(campaign=c, rater=rater).count()) for c in campaigns]
    rows = [{"campaign": campaign, "waiting": n} for campaign, n in found if n]
    return {"rows": rows} if rows else None


def returned_read(request: HttpRequest) -> Mapping[str, Any] | None:
    rows = list(returns_waiting(rater=rater_for(user=person(request))))
    return {"rows": rows} if rows else None


RETURNED = Panel(
    key="quality.returned",
    roles=frozenset({ANNOTATOR, ADJUDICATOR}),
    order=9,
    template="quality/panels/returned.html",
    read=returned_read,
)
SETTLING = Panel(
    key="quality.settling",
    roles=frozenset({ADJUDICATOR}),
    order=11,
    template="quality/panels/settling.html",
    read=settling_read,
)


def questions_read(request: HttpRequest) -> Mapping[str, Any] | None:
    campaigns = Campaign.objects.all()
    lines = lines_of(request.user, LEAD)
    if lines is not None:
        campaigns = campaigns.filter(line__in=lines)
    asked = campaigns.filter(comparisons__assignments__thread__isnull=False).distinct()
    found = [(campaign, threads_waiting(campaign=campaign).count()) for campaign in asked]
    rows = [{"campaign": campaign, "waiting": n} for campaign, n in found if n]
    return {"rows": rows} if rows else None


QUESTIONS = Panel(
    key="quality.questions",
    roles=frozenset({LEAD}),
    order=12,
    template="quality/panels/questions.html",
    read=questions_read,
)
