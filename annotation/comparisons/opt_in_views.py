"""The page before sensitive content: what it is, the way in, and the way out again."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation.accounts.services import rater_for
from annotation.campaigns.selectors import opt_in_missing
from annotation.campaigns.services import sensitive_opt_in
from annotation.contracts import AnnotationError
from web.access import ADJUDICATOR, ANNOTATOR, person, role_required

from . import services
from .doors import campaign_for_labelling


@require_http_methods(["GET", "POST"])
@never_cache
@role_required(ANNOTATOR, ADJUDICATOR)
def warning(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """The campaign's warning; who agrees goes on to the pairs."""
    campaign = campaign_for_labelling(request, campaign_id)
    rater = rater_for(user=person(request))
    if request.method == "POST":
        try:
            sensitive_opt_in(
                rater=rater, campaign=campaign, warning=request.POST.get("warning", "")
            )
        except AnnotationError as error:
            messages.error(request, str(error))
            return redirect("comparisons:warning", campaign.pk)
        return redirect("comparisons:compare", campaign.pk)
    agreed = bool(campaign.sensitive_warning) and not opt_in_missing(rater=rater, campaign=campaign)
    return render(request, "comparisons/warning.html", {"campaign": campaign, "agreed": agreed})


@require_POST
@role_required(ANNOTATOR, ADJUDICATOR)
def opt_out(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for_labelling(request, campaign_id)
    services.sensitive_opt_out(rater=rater_for(user=person(request)), campaign=campaign)
    messages.success(
        request, f"You are shown nothing more of {campaign.name}. What you answered there stays."
    )
    return redirect("web:home")
