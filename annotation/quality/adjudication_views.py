"""The adjudicator's pages: what people disagree on, and settling one pair after another."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms import CharField, Field
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.accounts.models import Rater
from annotation.accounts.services import rater_for
from annotation.campaigns.audit import campaign_audit
from annotation.campaigns.models import Campaign
from annotation.campaigns.views import campaign_for
from annotation.comparisons import services
from annotation.comparisons.models import Adjudication
from annotation.contracts import AnnotationError
from web.access import ADJUDICATOR, LEAD, STAFF, person, role_required, roles_of
from web.paging import page_by_key
from web.tables import Sort, table_asked

from .disagreements import WORST_FIRST, disagreement_rows, disagreements, settled_lately
from .forms import SettleForm
from .gold_views import pair_for
from .pairs import pair_shown, votes_on

SHOWN = 50
SORTS = {"worst": Sort("most divided first", WORST_FIRST)}
NO_QUESTION = "This pair is not among those that wait for you to settle them."


@require_GET
@role_required(*STAFF, ADJUDICATOR)
def disagreement_list(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """An adjudicator sees the pairs that are theirs to settle; an engineer or lead all of them."""
    campaign = campaign_for(request, campaign_id, *STAFF, ADJUDICATOR)
    settles = ADJUDICATOR in roles_of(request.user, campaign.line)
    rater = rater_for(user=person(request)) if settles else None
    table = table_asked(request.GET, sorts=SORTS, filters=_filters())
    rows = disagreements(campaign=campaign, rater=rater, **table.chosen)
    page = page_by_key(rows, query=request.GET, fields=table.fields, size=SHOWN)
    context = {
        "campaign": campaign,
        "table": table,
        "page": page,
        "rows": disagreement_rows(page.rows),
        "mine": settled_lately(campaign=campaign, rater=rater) if rater else [],
        "settles": settles,
        "staff": not roles_of(request.user, campaign.line).isdisjoint(STAFF),
    }
    return render(request, "quality/disagreements.html", context)


def _filters() -> dict[str, Field]:
    return {"prompt": CharField(max_length=200, label="Prompt contains")}


@require_http_methods(["GET", "POST"])
@role_required(ADJUDICATOR)
def settle(request: HttpRequest, campaign_id: uuid.UUID, pair_id: uuid.UUID) -> HttpResponse:
    """The pair with the votes on it, without names, and the answer that is to stand for them."""
    campaign, pair = pair_for(request, campaign_id, pair_id, ADJUDICATOR)
    rater = rater_for(user=person(request))
    form = SettleForm(request.POST or None)
    waiting = disagreements(campaign=campaign, rater=rater)
    waits = waiting.filter(judgment__assignment__comparison=pair).exists()
    if not waits and request.method == "GET":
        messages.info(request, NO_QUESTION)
        return redirect("quality:disagreements", campaign.pk)
    if request.method == "POST" and form.is_valid():
        try:
            if not waits:
                raise AnnotationError(NO_QUESTION)
            services.pair_settle(rater=rater, comparison=pair, **form.cleaned_data)
        except AnnotationError as error:
            form.add_error(None, str(error))
        else:
            campaign_audit(request, campaign, "settled pair", pair=str(pair.pk))
            messages.success(request, "Settled. Your answer is the label of that pair now.")
            return _next(campaign, rater)
    context = {
        "campaign": campaign,
        "form": form,
        "texts": pair_shown(pair),
        "waits": waits,
        "votes": [vote for vote in votes_on(pair) if not vote.settles] if waits else [],
        "left": waiting.count(),
    }
    return render(request, "quality/settle.html", context)


@require_POST
@role_required(LEAD, ADJUDICATOR)
def unsettle(request: HttpRequest, campaign_id: uuid.UUID, pair_id: uuid.UUID) -> HttpResponse:
    """Let the votes count again: a lead for anybody, an adjudicator for what they settled themselves."""
    campaign, pair = pair_for(request, campaign_id, pair_id, LEAD, ADJUDICATOR)
    adjudication = get_object_or_404(Adjudication, comparison=pair, lifted_at__isnull=True)
    own = adjudication.judgment.rater.user == request.user
    if not own and LEAD not in roles_of(request.user, campaign.line):
        raise PermissionDenied("Another adjudicator settled this pair.")
    services.pair_unsettle(adjudication=adjudication, actor=str(person(request).pk))
    campaign_audit(request, campaign, "unsettled pair", pair=str(pair.pk))
    messages.success(request, "The votes on this pair are its labels again.")
    return redirect("quality:disagreements", campaign.pk)


def _next(campaign: Campaign, rater: Rater) -> HttpResponse:
    following = disagreements(campaign=campaign, rater=rater).first()
    if following is None:
        return redirect("quality:disagreements", campaign.pk)
    return redirect("quality:settle", campaign.pk, following["pair"])
