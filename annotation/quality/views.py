"""How good the labels of a campaign are, for its engineers and leads, down to the single answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.forms import CharField, Field
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_POST

from annotation.accounts.models import Rater
from annotation.campaigns.audit import campaign_audit
from annotation.campaigns.models import Campaign
from annotation.campaigns.span_labels import labels_of
from annotation.campaigns.views import campaign_for
from annotation.comparisons.models import Assignment
from annotation.comparisons.records import FLAGS
from annotation.comparisons.services import overlap_apply
from web.access import LEAD, STAFF, role_required, roles_of
from web.paging import page_by_key
from web.tables import Sort, table_asked

from .kept import measures_stale, quality_measures
from .lists import (
    KINDS,
    OF_RANKINGS,
    OTHER_SIDE,
    answer_rows,
    answers_listed,
    prompt_words,
    skips_listed,
)
from .pages import people_rows, person_page, quality_page
from .pairs import rater_name
from .rankings import ranking_page
from .spans import Marked, spans_page
from .tables import csv_answer, people_table, ranking_people_table
from .told import skip_words

SORTS = {"labels": Sort("most labels first", ())}


def _filters() -> dict[str, Field]:
    return {"name": CharField(max_length=150, label="Name contains")}


@require_GET
@role_required(*STAFF)
def quality(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    if campaign.ranks:
        context = {
            "campaign": campaign,
            "page": ranking_page(campaign=campaign),
            "marks": spans_page(campaign=campaign),
        }
        return render(request, "quality/ranking.html", context)
    table = table_asked(request.GET, sorts=SORTS, filters=_filters())
    measures = quality_measures(campaign=campaign)
    page = quality_page(measures, query=request.GET, **table.chosen)
    context = {
        "campaign": campaign,
        "page": page,
        "measures": measures,
        "stale": measures_stale(measures),
        "table": table,
    }
    return render(request, "quality/campaign.html", context)


@require_GET
@role_required(*STAFF)
def people_csv(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    if campaign.ranks:
        rows = ranking_people_table(ranking_page(campaign=campaign).people)
    else:
        rows = people_table(people_rows(campaign=campaign))
    return csv_answer(f"{campaign.slug}-people.csv", rows)


@require_GET
@role_required(*STAFF)
def person_quality(
    request: HttpRequest, campaign_id: uuid.UUID, rater_id: uuid.UUID
) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    page = person_page(campaign=campaign, rater=_rater_in(campaign, rater_id))
    if page is None:
        raise Http404("This person has no answer in this campaign.")
    may_leave_out = LEAD in roles_of(request.user, campaign.line)
    context = {"campaign": campaign, "page": page, "may_leave_out": may_leave_out}
    return render(request, "quality/person.html", context)


@require_GET
@role_required(*STAFF)
def answers(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """The answers behind a figure: `?kind=`, of one person by `&person=`, with one flag by `&flag=`, with
    parts marked `&label=` in texts of a model version by `&version=`."""
    campaign = campaign_for(request, campaign_id)
    kind, flag = request.GET.get("kind", "all"), request.GET.get("flag", "")
    known = OF_RANKINGS if campaign.ranks else KINDS
    if kind not in known or (flag and flag not in FLAGS):
        raise Http404("There is no such list; go back to the quality page.")
    rater = _rater_asked(request, campaign)
    span = _span_asked(request)
    rows = answers_listed(campaign=campaign, kind=kind, rater=rater, flag=flag, span=span)
    page = page_by_key(rows, query=request.GET, fields=("-created_at", "-id"), size=25)
    context = {
        "campaign": campaign,
        "rater": rater,
        "kind": kind,
        "title": _list_title(campaign, kind, flag, span),
        "others": list(_other_lists(kind)),
        "page": page,
        "rows": answer_rows(page.rows),
    }
    return render(request, "quality/answers.html", context)


@require_GET
@role_required(*STAFF)
def skips(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    rater = _rater_asked(request, campaign)
    rows = skips_listed(campaign=campaign, rater=rater, reason=_text(request, "reason"))
    page = page_by_key(rows, query=request.GET, fields=("-leased_at", "-id"), size=50)
    shown = [
        {
            "name": rater_name(row.rater),
            "reason": skip_words(row.skip_reason),
            "prompt": prompt_words(row.comparison.prompt),
            "at": row.leased_at,
        }
        for row in page.rows
    ]
    context = {"campaign": campaign, "rater": rater, "page": page, "rows": shown}
    return render(request, "quality/skips.html", context)


@require_POST
@role_required(*STAFF)
def ask_again(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """Let the campaign's rule decide over the pairs that were judged before it was set, or changed."""
    campaign = campaign_for(request, campaign_id)
    again, closed = overlap_apply(campaign=campaign)
    campaign_audit(
        request, campaign, "asked again where votes differ", asked_again=again, asked_no_more=closed
    )
    messages.success(
        request,
        f"Pairs that are asked again: {again:,}. Pairs about which nobody else is asked: {closed:,}.",
    )
    return redirect("quality:campaign", campaign.pk)


def _other_lists(kind: str) -> Iterator[tuple[str, str]]:
    """The list with its counterpart, for the links between them."""
    for one, other in OTHER_SIDE.items():
        if kind in (one, other):
            yield from ((key, KINDS[key][0]) for key in (one, other))


def _list_title(campaign: Campaign, kind: str, flag: str, span: Marked | None) -> str:
    names = {label.key: label.name for label in labels_of(campaign.span_labels)}
    parts = [FLAGS.get(flag, "")]
    if span is not None:
        parts.append(names.get(span.label, span.label))
        parts.append(f"model {str(span.version)[:8]}" if span.version else "")
    said = ", ".join(filter(None, parts))
    return KINDS[kind][0] + (f": {said}" if said else "")


def _span_asked(request: HttpRequest) -> Marked | None:
    label, version = _text(request, "label"), _text(request, "version")
    if not label and not version:
        return None
    try:
        found = Marked(label, uuid.UUID(version) if version else None)
    except ValueError as error:
        raise Http404("There is no such list; go back to the quality page.") from error
    if label != slugify(label):
        raise Http404("There is no such list; go back to the quality page.")
    return found


def _rater_asked(request: HttpRequest, campaign: Campaign) -> Rater | None:
    raw = _text(request, "person")
    if not raw:
        return None
    try:
        return _rater_in(campaign, uuid.UUID(raw))
    except ValueError as error:
        raise Http404("There is no such person in this campaign.") from error


def _rater_in(campaign: Campaign, rater_id: uuid.UUID) -> Rater:
    """A person of this campaign: nobody is looked up who has had no pair of it."""
    rows = Rater.objects.select_related("user").filter(
        Exists(Assignment.objects.filter(rater=OuterRef("pk"), comparison__campaign=campaign))
    )
    return get_object_or_404(rows, pk=rater_id)


def _text(request: HttpRequest, name: str) -> str:
    raw = request.GET.get(name, "")
    if "\x00" in raw:
        raise Http404("This page’s address is damaged; go back to the list.")
    return raw
