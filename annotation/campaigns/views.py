"""Campaigns for engineers and leads: list, detail, settings, guidelines, state."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import Field
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.comparisons.exclusions import raters_left_out
from annotation.comparisons.uses import label_shares
from annotation.contracts import AnnotationError
from web.access import STAFF, lines_of, person, require_role, role_required
from web.forms import redirect_back
from web.paging import page_by_key
from web.registry import line_name, line_names
from web.tables import Sort, choice_filter, table_asked

from . import services
from .audit import campaign_audit
from .figures import queue_figures, rater_rows
from .forms import CampaignForm, GuidelinesForm, SettingsForm
from .models import OVERALL, Campaign, CampaignState
from .selectors import campaigns_found, campaigns_summed, guidelines_current, opted_in_number

STATE_MEANING = {"draft": "neutral", "active": "good", "paused": "attention", "closed": "neutral"}
SORTS = {
    "newest": Sort("newest first", ("-created_at", "-id")),
    "name": Sort("name", ("name", "id")),
}
STATE_ACTS = {"active": "Start", "paused": "Pause", "closed": "Close"}


def campaign_for(request: HttpRequest, campaign_id: uuid.UUID, *roles: str) -> Campaign:
    """The campaign, for one who holds one of the roles on its line: an engineer or lead, if none is named."""
    campaign = get_object_or_404(Campaign, pk=campaign_id)
    require_role(request, *(roles or STAFF), line_id=campaign.line)
    return campaign


@require_GET
@role_required(*STAFF)
def campaign_list(request: HttpRequest) -> HttpResponse:
    """The campaigns of the person's lines; with `?archived=1` those that were put away."""
    archived, allowed = request.GET.get("archived") == "1", lines_of(request.user, *STAFF)
    names = {line.id: line.name for line in line_names(allowed)}
    table = table_asked(request.GET, sorts=SORTS, filters=_filters(names))
    found = campaigns_found(line_ids=allowed, archived=archived, **table.chosen)
    page = page_by_key(found, query=request.GET, fields=table.fields, size=50)
    rows = [
        {
            "campaign": summary,
            "line": names.get(campaign.line, str(campaign.line)[:8]),
            "meaning": STATE_MEANING[summary.state],
        }
        for campaign, summary in zip(page.rows, campaigns_summed(page.rows), strict=True)
    ]
    context = {"rows": rows, "archived": archived, "page": page, "table": table}
    return render(request, "campaigns/list.html", context)


def _filters(names: Mapping[uuid.UUID, str]) -> dict[str, Field]:
    lines = sorted(((str(line), name) for line, name in names.items()), key=lambda one: one[1])
    return {
        "line": choice_filter("Line", lines),
        "state": choice_filter("State", list(CampaignState.choices)),
    }


@require_GET
@role_required(*STAFF)
def campaign_detail(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    acts = [
        {"state": state, "label": STATE_ACTS[state]}
        for state in (() if campaign.archived_at else services.TRANSITIONS[campaign.state])
    ]
    context = {
        "campaign": campaign,
        "line": line_name(campaign.line),
        "meaning": STATE_MEANING[campaign.state],
        "acts": acts,
        "criteria": [c for c in campaign.criteria.all() if c.key != OVERALL],
        "guidelines": guidelines_current(campaign=campaign),
        "opted_in": opted_in_number(campaign=campaign) if campaign.sensitive_warning else None,
        "queue": queue_figures(campaign=campaign),
        "shares": label_shares(line_id=campaign.line, campaigns=[campaign.pk]),
        "raters": rater_rows(campaign=campaign, left_out=raters_left_out(campaign=campaign)),
    }
    return render(request, "campaigns/detail.html", context)


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def campaign_new(request: HttpRequest) -> HttpResponse:
    form = CampaignForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        return redirect("campaigns:detail", campaign_made(request, form).pk)
    return render(request, "campaigns/new.html", {"form": form})


def campaign_made(request: HttpRequest, form: CampaignForm) -> Campaign:
    """The campaign that a filled-in form asks for, for who has a role on its line."""
    data: dict[str, Any] = dict(form.cleaned_data)
    line = data.pop("line")
    require_role(request, *STAFF, line_id=line)
    campaign = services.campaign_create(line_id=line, author=person(request), **data)
    campaign_audit(request, campaign, "created campaign")
    messages.success(request, "The campaign is a draft. Start it when its guidelines are right.")
    return campaign


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def campaign_edit(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    form = SettingsForm(request.POST or None, instance=campaign)
    if request.method == "POST" and form.is_valid():
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if changed:
            before = Campaign.objects.get(pk=campaign.pk)
            detail = {
                name: [_plain(getattr(before, name)), _plain(value)]
                for name, value in changed.items()
            }
            services.campaign_update(campaign=campaign, **changed)
            campaign_audit(request, campaign, "changed campaign", **detail)
        messages.success(request, "Saved.")
        return redirect("campaigns:detail", campaign.pk)
    return render(request, "campaigns/edit.html", {"campaign": campaign, "form": form})


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    return value.isoformat() if isinstance(value, date) else value


@require_POST
@role_required(*STAFF)
def campaign_state(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    before = campaign.state
    try:
        services.campaign_set_state(campaign=campaign, state=request.POST.get("state", ""))
    except (AnnotationError, ValidationError) as error:
        messages.error(request, str(error))
    else:
        campaign_audit(request, campaign, "changed state", before=before, after=campaign.state)
        messages.success(request, f"The campaign is {campaign.get_state_display().lower()} now.")
    return redirect_back(request, "campaigns:detail", campaign.pk)


@require_POST
@role_required(*STAFF)
def campaign_put_away(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """Archive the campaign, or take it back (`archived=no`)."""
    campaign = campaign_for(request, campaign_id)
    archived = request.POST.get("archived") != "no"
    try:
        services.campaign_archive(campaign=campaign, archived=archived)
    except AnnotationError as error:
        messages.error(request, str(error))
    else:
        campaign_audit(request, campaign, "archived campaign" if archived else "took back campaign")
        word = "is archived: it leaves lists and choices" if archived else "is back in the lists"
        messages.success(request, f"{campaign.name} {word}.")
    return redirect("campaigns:detail", campaign.pk)


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def guidelines(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    """The guidelines in force, or version `?version=` of them, and the form for the next one."""
    campaign = campaign_for(request, campaign_id)
    versions = list(campaign.guidelines.select_related("author"))
    shown = versions[0] if versions else None
    if number := request.GET.get("version"):
        shown = next((v for v in versions if str(v.number) == number), None)
        if shown is None:
            raise Http404("There is no such version of the guidelines.")
    form = GuidelinesForm(
        request.POST or None, initial={"text": versions[0].text if versions else ""}
    )
    if request.method == "POST" and form.is_valid():
        made = services.guidelines_publish(
            campaign=campaign,
            author=person(request),
            **form.cleaned_data,
        )
        campaign_audit(request, campaign, "published guidelines", version=made.number)
        messages.success(
            request, f"Version {made.number} is in force. Everyone reads it before their next pair."
        )
        return redirect("campaigns:guidelines", campaign.pk)
    context = {"campaign": campaign, "versions": versions, "shown": shown, "form": form}
    return render(request, "campaigns/guidelines.html", context)
