"""The qualification test: taking it, and for leads who has passed."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.accounts.models import Rater
from annotation.accounts.services import rater_for
from annotation.campaigns.models import Campaign
from annotation.campaigns.selectors import guidelines_current, opt_in_missing
from annotation.campaigns.views import campaign_for
from annotation.comparisons import services
from annotation.comparisons.models import QualificationAnswer, QualificationTry
from annotation.comparisons.qualifying import (
    feedback_on,
    is_right,
    item_shown,
    needed,
    qualification_standing,
    raters_tried,
    tried_people,
)
from annotation.contracts import AnnotationError
from web.access import ADJUDICATOR, ANNOTATOR, STAFF, person, require_role, role_required
from web.paging import page_by_key

from .forms import QualificationForm
from .pairs import rater_name


def campaign_to_qualify(request: HttpRequest, campaign_id: uuid.UUID) -> tuple[Campaign, Rater]:
    """The campaign and the person's rater, for one who may label in it."""
    campaign = get_object_or_404(Campaign, pk=campaign_id)
    require_role(request, ANNOTATOR, ADJUDICATOR, line_id=campaign.line)
    return campaign, rater_for(user=person(request))


@never_cache
@require_http_methods(["GET", "POST"])
@role_required(ANNOTATOR, ADJUDICATOR)
def qualify(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """What the test is, or its next item with what was right of the one before; at the end the result."""
    campaign, rater = campaign_to_qualify(request, campaign_id)
    if opt_in_missing(rater=rater, campaign=campaign):
        return redirect("comparisons:warning", campaign.pk)
    runs = QualificationTry.objects.filter(campaign=campaign, rater=rater)
    attempt = runs.order_by("-number").first()
    answers = _answers(attempt)
    following = next((a for a in answers if a.value is None), None)
    form = QualificationForm(request.POST or None)
    if request.method == "POST" and attempt and form.is_valid():
        services.qualification_answer(attempt=attempt, **form.cleaned_data)
        return redirect("quality:qualify", campaign.pk)
    given = [a for a in answers if a.value is not None]
    shown = item_shown(following, len(answers)) if following else None
    context = {
        "campaign": campaign,
        "standing": qualification_standing(rater=rater, campaign=campaign),
        "attempt": attempt,
        "shown": shown,
        "form": QualificationForm(initial={"position": shown.number}) if shown else None,
        "feedback": feedback_on(given[-1]) if given else None,
        "right": sum(is_right(a) for a in given),
        "answered": len(given),
        "needed": needed(campaign=campaign, of=len(answers) or campaign.qualification_items),
        "guidelines": guidelines_current(campaign=campaign),
    }
    return render(request, "quality/qualify.html", context)


def _answers(attempt: QualificationTry | None) -> list[QualificationAnswer]:
    if attempt is None:
        return []
    return list(attempt.answers.select_related("comparison__prompt"))


@require_POST
@role_required(ANNOTATOR, ADJUDICATOR)
def qualification_begin(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign, rater = campaign_to_qualify(request, campaign_id)
    try:
        services.qualification_begin(rater=rater, campaign=campaign)
    except AnnotationError as error:
        messages.error(request, str(error))
    return redirect("quality:qualify", campaign.pk)


@require_GET
@role_required(*STAFF)
def qualification_list(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """Who took the test of a campaign, and who passed."""
    campaign = campaign_for(request, campaign_id)
    page = page_by_key(
        raters_tried(campaign=campaign), query=request.GET, fields=("passed", "pseudonym"), size=50
    )
    people = tried_people(campaign=campaign, raters=page.rows)
    rows = [{"name": rater_name(each.rater), "person": each} for each in people]
    context = {"campaign": campaign, "page": page, "rows": rows}
    return render(request, "quality/qualification.html", context)
