"""Gold items of a campaign: the list with how they are answered, making, editing, retiring.

And the page of a pair, from which a gold item can be made.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.campaigns.audit import campaign_audit
from annotation.campaigns.models import Campaign
from annotation.campaigns.views import campaign_for
from annotation.comparisons import services
from annotation.comparisons.gold import gold_figures, gold_items, gold_people
from annotation.comparisons.models import Comparison
from annotation.contracts import AnnotationError
from web.access import LEAD, STAFF, role_required, roles_of
from web.paging import page_by_key

from .forms import GoldAnswerForm, GoldForm
from .pairs import pair_shown, pairs_shown, rater_name, votes_on

PAGE = 25


def pair_for(
    request: HttpRequest, campaign_id: uuid.UUID, pair_id: uuid.UUID, *roles: str
) -> tuple[Campaign, Comparison]:
    """The campaign and a pair of it that may be looked at, for one who holds one of the roles there."""
    campaign = campaign_for(request, campaign_id, *roles)
    rows = pairs_shown(campaign=campaign).select_related("campaign", "prompt")
    return campaign, get_object_or_404(rows, pk=pair_id)


@require_GET
@role_required(*STAFF)
def pair(request: HttpRequest, campaign_id: uuid.UUID, pair_id: uuid.UUID) -> HttpResponse:
    """A pair, what people said of it, and what may be done about it."""
    campaign, comparison = pair_for(request, campaign_id, pair_id)
    votes = votes_on(comparison)
    context = {
        "campaign": campaign,
        "pair": comparison,
        "texts": pair_shown(comparison),
        "votes": votes,
        "settled": next((vote for vote in votes if vote.settles), None),
        "lead": LEAD in roles_of(request.user, campaign.line),
        "gold": gold_figures([comparison])[0] if comparison.gold_value else None,
        "may_be_gold": comparison.purpose == "training" and not campaign.ranks,
    }
    return render(request, "quality/pair.html", context)


@require_GET
@role_required(*STAFF)
def gold_list(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    retired = request.GET.get("retired") == "yes"
    page = page_by_key(
        gold_items(campaign=campaign, retired=retired).select_related("prompt"),
        query=request.GET,
        fields=("-created_at", "id"),
        size=PAGE,
    )
    context = {
        "campaign": campaign,
        "page": page,
        "items": gold_figures(page.rows),
        "people": [
            {"name": rater_name(each.rater), "gold": each}
            for each in gold_people(campaign=campaign)
        ],
        "lead": LEAD in roles_of(request.user, campaign.line),
        "retired": retired,
    }
    return render(request, "quality/gold_list.html", context)


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def gold_new(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """A gold item written from nothing."""
    campaign = campaign_for(request, campaign_id)
    form = GoldForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = dict(form.cleaned_data)
        message = {"role": "user", "content": data.pop("prompt")}
        texts = (data.pop("first"), data.pop("second"))
        made = _made(form, services.gold_item_write, campaign=campaign, messages=[message],
                     texts=texts, **data)  # fmt: skip
        if made:
            campaign_audit(request, campaign, "made gold item", pair=str(made.pk))
            return redirect("quality:gold_list", campaign.pk)
    return render(request, "quality/gold_form.html", {"campaign": campaign, "form": form})


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def gold_of_pair(request: HttpRequest, campaign_id: uuid.UUID, pair_id: uuid.UUID) -> HttpResponse:
    """Make a gold item of a pair; or, of a gold item, one with another answer that takes its place."""
    campaign, comparison = pair_for(request, campaign_id, pair_id)
    edits = comparison.purpose == "gold"
    initial = GoldAnswerForm.initial_of(comparison) if edits else None
    form = GoldAnswerForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        make = services.gold_item_replace if edits else services.gold_item_of_pair
        made = _made(form, make, comparison=comparison, **form.cleaned_data)
        if made:
            verb = "edited gold item" if edits else "made gold item"
            campaign_audit(request, campaign, verb, pair=str(made.pk))
            return redirect("quality:gold_list", campaign.pk)
    context = {
        "campaign": campaign,
        "form": form,
        "texts": pair_shown(comparison),
        "edits": edits,
    }
    return render(request, "quality/gold_form.html", context)


@require_POST
@role_required(*STAFF)
def gold_retire(request: HttpRequest, campaign_id: uuid.UUID, pair_id: uuid.UUID) -> HttpResponse:
    campaign, comparison = pair_for(request, campaign_id, pair_id)
    try:
        services.gold_item_retire(comparison=comparison)
    except AnnotationError as error:
        messages.error(request, str(error))
    else:
        campaign_audit(request, campaign, "retired gold item", pair=str(comparison.pk))
        messages.success(request, "The gold item is retired: nobody else is shown it.")
    return redirect("quality:gold_list", campaign.pk)


def _made(form: GoldAnswerForm, make: Any, **what: Any) -> Comparison | None:
    """The gold item, or None and the reason on the form."""
    try:
        made: Comparison = make(**what)
    except AnnotationError as error:
        form.add_error(None, str(error))
        return None
    return made
