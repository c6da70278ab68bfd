"""Asking the leads about a pair, and answering, in one thread."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.accounts.services import rater_for
from annotation.campaigns.audit import campaign_audit
from annotation.campaigns.models import Campaign
from annotation.campaigns.views import campaign_for
from annotation.comparisons import services
from annotation.comparisons.levels import letters
from annotation.comparisons.models import Assignment, AssignmentState, ThreadMessage
from annotation.comparisons.selectors import comparison_for
from annotation.contracts import AnnotationError
from web.access import (
    ADJUDICATOR,
    ANNOTATOR,
    LEAD,
    STAFF,
    people_with,
    person,
    require_role,
    role_required,
)
from web.paging import page_by_key
from web.services import notice_send

from .forms import MessageForm
from .pairs import pair_shown, pairs_shown, rater_name
from .questions import threads

SHOWN = 50


@never_cache
@require_http_methods(["GET", "POST"])
@role_required(ANNOTATOR, ADJUDICATOR)
def ask(request: HttpRequest, assignment_id: uuid.UUID) -> HttpResponse:
    """One's own pair as it was shown, what was asked and answered, and the next question."""
    rater = rater_for(user=person(request))
    own = Assignment.objects.filter(rater=rater).exclude(state=AssignmentState.SETTLED)
    assignment = get_object_or_404(own.select_related("comparison__campaign"), pk=assignment_id)
    campaign = assignment.comparison.campaign
    require_role(request, ANNOTATOR, ADJUDICATOR, line_id=campaign.line)
    form = MessageForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _written(form, assignment, by_rater=True):
        _leads_told(campaign, assignment)
        messages.success(request, "Asked. The answer comes here, and as a notice.")
        return redirect("quality:ask", assignment.pk)
    skipped = assignment.state == AssignmentState.SKIPPED  # what was skipped is not shown again
    context = {
        "campaign": campaign,
        "shown": None if skipped else comparison_for(rater=rater, assignment_id=assignment.pk),
        "thread": assignment.thread.all(),
        "form": form,
    }
    return render(request, "quality/ask.html", context)


@require_GET
@role_required(*STAFF)
def question_list(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    found = threads(campaign=campaign)
    page = page_by_key(found, query=request.GET, fields=("-waits", "last_at", "id"), size=SHOWN)
    rows = [{"thread": each, "who": rater_name(each.rater)} for each in page.rows]
    context = {"campaign": campaign, "rows": rows, "page": page}
    return render(request, "quality/questions.html", context)


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def question(
    request: HttpRequest, campaign_id: uuid.UUID, assignment_id: uuid.UUID
) -> HttpResponse:
    """A thread and its pair, and the answer; the pair of an undecided gate stays hidden."""
    campaign = campaign_for(request, campaign_id)
    rows = Assignment.objects.filter(comparison__campaign=campaign, thread__isnull=False)
    found = rows.select_related("comparison__prompt", "rater__user").distinct()
    assignment = get_object_or_404(found, pk=assignment_id)
    form = MessageForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _written(form, assignment, by_rater=False):
        _asker_told(campaign, assignment)
        campaign_audit(request, campaign, "answered question", rater=assignment.rater.pseudonym)
        messages.success(request, "Answered. They are told.")
        return redirect("quality:questions", campaign.pk)
    pair = pairs_shown(campaign=campaign).filter(pk=assignment.comparison_id).first()
    context = {
        "campaign": campaign,
        "texts": pair_shown(pair) if pair else None,
        "turned": not campaign.ranks and assignment.shown_order != [1, 2],
        "their_letters": _letters_told(assignment) if campaign.ranks else "",
        "thread": assignment.thread.all(),
        "who": rater_name(assignment.rater),
        "form": form,
    }
    return render(request, "quality/question.html", context)


def _letters_told(assignment: Assignment) -> str:
    """Which letter of theirs is which of ours, as "A → C, B → A, C → B"."""
    theirs = letters(len(assignment.shown_order))
    ours = [letters(slot)[-1] for slot in assignment.shown_order]
    return ", ".join(f"{a} → {b}" for a, b in zip(theirs, ours, strict=True))


def _written(form: MessageForm, assignment: Assignment, *, by_rater: bool) -> ThreadMessage | None:
    """The message, or None and the reason on the form."""
    try:
        return services.thread_write(
            assignment=assignment, text=form.cleaned_data["text"], by_rater=by_rater
        )
    except AnnotationError as error:
        form.add_error(None, str(error))
        return None


def _leads_told(campaign: Campaign, assignment: Assignment) -> None:
    notice_send(
        users=people_with(LEAD, line_id=campaign.line),
        topic=f"question {assignment.pk} {assignment.thread.count()}",
        level="info",
        text=f"Somebody asks about a pair of {campaign.name}.",
        url=reverse("quality:question", args=[campaign.pk, assignment.pk]),
    )


def _asker_told(campaign: Campaign, assignment: Assignment) -> None:
    if assignment.rater.user is None:
        return
    notice_send(
        users=[assignment.rater.user],
        topic=f"answer {assignment.pk} {assignment.thread.count()}",
        level="info",
        text=f"Your question about a pair of {campaign.name} was answered.",
        url=reverse("quality:ask", args=[assignment.pk]),
    )
