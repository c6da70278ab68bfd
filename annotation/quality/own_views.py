"""An annotator's own page, and the files of time for pay."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.accounts.models import Rater
from annotation.accounts.services import rater_for
from annotation.campaigns.selectors import opted_in_campaigns
from annotation.campaigns.views import campaign_for
from web.access import ADJUDICATOR, ANNOTATOR, STAFF, person, role_required
from web.history import history_view

from .pairs import rater_name
from .tables import Cell, csv_answer
from .work import FEWEST_TOLD, WorkDay, own_figures, work_days

SHOWN = 60  # days and campaigns on the page; the file holds all


@require_GET
@never_cache
@role_required(ANNOTATOR, ADJUDICATOR)
def own(request: HttpRequest) -> HttpResponse:
    rater = rater_for(user=person(request))
    days = work_days(rater=rater)
    context = {
        "days": days[:SHOWN],
        "more": len(days) > SHOWN,
        "answers": sum(day.answers for day in days),
        "seconds": sum(day.seconds for day in days),
        "figures": own_figures(rater=rater),
        "fewest": FEWEST_TOLD,
        "opted_in": opted_in_campaigns(rater=rater),
    }
    return render(request, "quality/own.html", context)


@require_GET
@never_cache
@role_required(ANNOTATOR, ADJUDICATOR)
def own_csv(request: HttpRequest) -> HttpResponse:
    days = work_days(rater=rater_for(user=person(request)))
    return csv_answer("my-work.csv", [WORK, *(_work(day) for day in days)])


@require_GET
@history_view
@role_required(*STAFF)
def time_csv(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """The time of everybody in one campaign, for pay."""
    campaign = campaign_for(request, campaign_id)
    return csv_answer(f"{campaign.slug}-time.csv", _time_rows(work_days(campaign=campaign)))


WORK: list[Cell] = ["date", "campaign", "answers", "skipped", "active_minutes"]


def _work(day: WorkDay) -> list[Cell]:
    minutes = round(day.seconds / 60, 1)
    return [day.day.isoformat(), day.campaign, day.answers, day.skipped, minutes]


def _time_rows(days: Sequence[WorkDay]) -> Iterator[list[Cell]]:
    raters = Rater.objects.select_related("user").in_bulk({day.rater_id for day in days})
    yield ["person", "pseudonym", *WORK]
    for day in days:
        rater = raters[day.rater_id]
        yield [rater_name(rater), rater.pseudonym, *_work(day)]
