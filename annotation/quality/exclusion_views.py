"""What is left out of a campaign: the list, a preview of what one more would change, and readmitting."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import localtime
from django.views.decorators.http import require_GET, require_http_methods

from annotation.campaigns.models import Campaign
from annotation.campaigns.views import campaign_for
from annotation.comparisons.models import Exclusion
from annotation.contracts import AnnotationError
from web.access import LEAD, STAFF, person, role_required, roles_of
from web.audit import people_named
from web.paging import page_by_key

from . import services
from .exclusions import effect_of, exclusions_of
from .forms import ExclusionForm
from .pairs import rater_name

PAGE = 25


def exclusion_for(
    request: HttpRequest, campaign_id: uuid.UUID, exclusion_id: uuid.UUID
) -> tuple[Campaign, Exclusion]:
    """The campaign and what is or was left out of it, for a lead of its line."""
    campaign = campaign_for(request, campaign_id, LEAD)
    return campaign, get_object_or_404(exclusions_of(campaign=campaign), pk=exclusion_id)


@require_GET
@role_required(*STAFF)
def exclusion_list(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    page = page_by_key(
        exclusions_of(campaign=campaign),
        query=request.GET,
        fields=("-excluded_at", "id"),
        size=PAGE,
    )
    names = people_named([by for e in page.rows for by in (e.excluded_by, e.lifted_by) if by])
    rows = [
        {
            "exclusion": each,
            "what": what_says(each),
            "by": names[each.excluded_by],
            "lifted_by": names.get(each.lifted_by, ""),
            "gate_labels": sum(each.gate_labels.values()),
        }
        for each in page.rows
    ]
    return render(
        request,
        "quality/exclusions.html",
        {
            "campaign": campaign,
            "page": page,
            "rows": rows,
            "lead": LEAD in roles_of(request.user, campaign.line),
        },
    )


@require_http_methods(["GET", "POST"])
@role_required(LEAD)
def exclusion_new(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """GET with what is to be left out shows what that changes; POST of the same does it."""
    campaign = campaign_for(request, campaign_id, LEAD)
    asked = request.POST or (request.GET if "reason" in request.GET else None)
    form = ExclusionForm(asked, campaign=campaign, initial={"rater": request.GET.get("rater", "")})
    effect = what = None
    if form.is_valid():
        try:
            drawn = services.exclusion_drawn(campaign=campaign, **form.what())
            if request.method == "POST":
                reason = form.cleaned_data["reason"]
                services.exclusion_make(exclusion=drawn, reason=reason, actor=person(request))
                messages.success(request, f"Left out: {what_says(drawn)}. It can be undone here.")
                return redirect("quality:exclusions", campaign.pk)
            effect, what = effect_of(drawn), what_says(drawn)
        except AnnotationError as error:
            form.add_error(None, str(error))
    same = ExclusionForm(asked, campaign=campaign, auto_id=False)
    context = {"campaign": campaign, "form": form, "same": same, "effect": effect, "what": what}
    return render(request, "quality/exclusion_new.html", context)


@require_http_methods(["GET", "POST"])
@role_required(LEAD)
def exclusion_lift(
    request: HttpRequest, campaign_id: uuid.UUID, exclusion_id: uuid.UUID
) -> HttpResponse:
    """What taking the answers in again would change, and the button."""
    campaign, exclusion = exclusion_for(request, campaign_id, exclusion_id)
    if request.method == "POST":
        try:
            services.exclusion_lift(exclusion=exclusion, actor=person(request))
        except AnnotationError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"These count again: {what_says(exclusion)}.")
        return redirect("quality:exclusions", campaign.pk)
    if exclusion.lifted_at is not None:
        return redirect("quality:exclusions", campaign.pk)
    context = {
        "campaign": campaign,
        "exclusion": exclusion,
        "what": what_says(exclusion),
        "effect": effect_of(exclusion),
    }
    return render(request, "quality/exclusion_lift.html", context)


def what_says(exclusion: Exclusion) -> str:
    """What is left out, in words."""
    said = [f"answers of {rater_name(exclusion.rater)}" if exclusion.rater else "answers"]
    if exclusion.guideline_version:
        said.append(f"under version {exclusion.guideline_version.number} of the guidelines")
    if exclusion.since and exclusion.until:
        ends = (exclusion.since, exclusion.until)
        span = (f"{localtime(moment):%Y-%m-%d %H:%M %Z}" for moment in ends)
        said.append("given from {} until {}".format(*span))
    said.append(
        f"in {exclusion.campaign}" if exclusion.campaign else "in every campaign of the line"
    )
    return " ".join(said)
