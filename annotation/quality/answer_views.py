"""Answers sent back to who gave them, and pairs taken from who holds them."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.accounts.services import rater_for
from annotation.campaigns.audit import campaign_audit
from annotation.campaigns.models import OVERALL, Campaign
from annotation.campaigns.views import campaign_for
from annotation.comparisons import services
from annotation.comparisons.models import AnswerReturn, Assignment, Judgment
from annotation.comparisons.selectors import comparison_for
from annotation.contracts import AnnotationError
from web.access import ADJUDICATOR, ANNOTATOR, STAFF, person, require_role, role_required
from web.paging import page_by_key
from web.services import notice_send

from .forms import AnswerForm, SendBackForm
from .gold_views import pair_for
from .pairs import pair_shown, rater_name, votes_on
from .returns import leases_live, returns_waiting

PAGE = 50


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def send_back(
    request: HttpRequest, campaign_id: uuid.UUID, pair_id: uuid.UUID, judgment_id: uuid.UUID
) -> HttpResponse:
    """A word to who gave the answer, who is asked to answer again."""
    campaign, pair = pair_for(request, campaign_id, pair_id)
    rows = Judgment.objects.filter(assignment__comparison=pair).select_related("rater__user")
    judgment = get_object_or_404(rows, pk=judgment_id)
    form = SendBackForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.answer_send_back(judgment=judgment, note=form.cleaned_data["note"])
        except AnnotationError as error:
            form.add_error(None, str(error))
        else:
            _told(made, campaign)
            campaign_audit(request, campaign, "sent answer back", pair=str(pair.pk))
            messages.success(request, "Sent back. The answer counts until it is given again.")
            return redirect("quality:pair", campaign.pk, pair.pk)
    vote = next((v for v in votes_on(pair) if v.judgment_id == judgment.pk), None)
    context = {
        "campaign": campaign,
        "pair": pair,
        "texts": pair_shown(pair),
        "form": form,
        "vote": vote,
        "who": rater_name(judgment.rater),
    }
    return render(request, "quality/send_back.html", context)


def _told(made: AnswerReturn, campaign: Campaign) -> None:
    notice_send(
        users=[made.judgment.rater.user],
        topic=f"answer returned {made.pk}",
        level="info",
        text=f"An answer of yours in {campaign.name} came back with a word: please look again.",
        url=reverse("quality:returned", args=[made.pk]),
    )


@never_cache
@require_http_methods(["GET", "POST"])
@role_required(ANNOTATOR, ADJUDICATOR)
def returned(request: HttpRequest, return_id: uuid.UUID) -> HttpResponse:
    """One's own answer that came back: the pair as it was shown, the word, and the answer again."""
    rater = rater_for(user=person(request))
    row = get_object_or_404(AnswerReturn, pk=return_id, judgment__rater=rater)
    assignment = row.judgment.assignment
    campaign = assignment.comparison.campaign
    require_role(request, ANNOTATOR, ADJUDICATOR, line_id=campaign.line)
    if not row.judgment.active:
        messages.info(request, "You have answered this pair again already.")
        return redirect("web:home")
    shown = comparison_for(rater=rater, assignment_id=assignment.pk)
    assert shown.answer is not None, "an active judgment is an answer"
    criteria = [c for c in campaign.criteria.all() if c.key != OVERALL]
    form = AnswerForm(request.POST or None, criteria=criteria, before=shown.answer)
    if request.method == "POST" and form.is_valid():
        try:
            services.judgment_revise(
                rater=rater,
                assignment_id=assignment.pk,
                answer=form.answer(),
                idempotency_key=f"returned-{row.pk}",
            )
        except AnnotationError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Thank you: your new answer counts.")
            following = returns_waiting(rater=rater).first()
            return redirect("quality:returned", following.pk) if following else redirect("web:home")
    context = {"campaign": campaign, "form": form, "shown": shown, "note": row.note}
    return render(request, "quality/returned.html", context)


@require_GET
@role_required(*STAFF)
def lease_list(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """Who holds which pairs, and since when; not what they ask, which may decide on a candidate."""
    campaign = campaign_for(request, campaign_id)
    page = page_by_key(
        leases_live(campaign_id=campaign.pk),
        query=request.GET,
        fields=("leased_at", "id"),
        size=PAGE,
    )
    rows = [{"assignment": each, "who": rater_name(each.rater)} for each in page.rows]
    context = {"campaign": campaign, "page": page, "rows": rows}
    return render(request, "quality/leases.html", context)


@require_POST
@role_required(*STAFF)
def lease_release(
    request: HttpRequest, campaign_id: uuid.UUID, assignment_id: uuid.UUID
) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    rows = Assignment.objects.filter(comparison__campaign=campaign).select_related("rater")
    assignment = get_object_or_404(rows, pk=assignment_id)
    try:
        services.lease_release(assignment=assignment)
    except AnnotationError as error:
        messages.error(request, str(error))
    else:
        campaign_audit(request, campaign, "released pair", rater=assignment.rater.pseudonym)
        messages.success(request, "The pair is free for somebody else.")
    return redirect("quality:leases", campaign.pk)
