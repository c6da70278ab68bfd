"""How a campaign gets on, in answers, days and money."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.campaigns.views import campaign_for
from web.access import STAFF, role_required
from web.history import history_view

from .progress import DayDone, campaign_days, campaign_progress
from .tables import Cell, csv_answer


@require_GET
@history_view
@role_required(*STAFF)
def progress(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    found = campaign_progress(campaign=campaign)
    late = (
        campaign.due_on and found.to_come and (not found.done_on or found.done_on > campaign.due_on)
    )
    context = {
        "campaign": campaign,
        "progress": found,
        "newest_first": found.days[::-1],
        "most": max((day.answers for day in found.days), default=0),
        "late": late,
    }
    return render(request, "quality/progress.html", context)


@require_GET
@history_view
@role_required(*STAFF)
def progress_csv(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """Every day on which something was answered."""
    campaign = campaign_for(request, campaign_id)
    rows = _rows(campaign_days(campaign=campaign))
    return csv_answer(f"{campaign.slug}-progress.csv", rows)


def _rows(days: Sequence[DayDone]) -> Iterator[list[Cell]]:
    yield ["date", "answers", "people", "answers_paid", "active_minutes", "cost"]
    for day in days:
        minutes = round(day.seconds / 60, 1)
        cost = "" if day.cost is None else round(day.cost, 2)
        yield [day.day.isoformat(), day.answers, day.people, day.paid, minutes, cost]
