"""Campaigns for engineers and leads: list, detail, settings, guidelines, state."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.contracts import AnnotationError
from web.access import STAFF, lines_of, person, require_role, role_required
from web.registry import line_name
from web.services import audit_record

from . import services
from .figures import queue_figures, rater_rows
from .forms import CampaignForm, GuidelinesForm, SettingsForm
from .models import OVERALL, Campaign
from .selectors import campaign_summaries, guidelines_current

STATE_MEANING = {"draft": "neutral", "active": "good", "paused": "attention", "closed": "neutral"}
STATE_ACTS = {"active": "Start", "paused": "Pause", "closed": "Close"}


def campaign_for(request: HttpRequest, campaign_id: uuid.UUID) -> Campaign:
    """The campaign, for an engineer or lead of its line."""
    campaign = get_object_or_404(Campaign, pk=campaign_id)
    require_role(request, *STAFF, line_id=campaign.line)
    return campaign


@require_GET
@role_required(*STAFF)
def campaign_list(request: HttpRequest) -> HttpResponse:
    lines = Campaign.objects.order_by("line").values_list("line", flat=True).distinct()
    allowed = lines_of(request.user, *STAFF)
    rows = [
        {
            "campaign": summary,
            "line": line_name(line),
            "meaning": STATE_MEANING[summary.state],
        }
        for line in lines
        if allowed is None or line in allowed
        for summary in campaign_summaries(line_id=line)
    ]
    return render(request, "campaigns/list.html", {"rows": rows})


@require_GET
@role_required(*STAFF)
def campaign_detail(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    acts = [
        {"state": state, "label": STATE_ACTS[state]}
        for state in services.TRANSITIONS[campaign.state]
    ]
    context = {
        "campaign": campaign,
        "line": line_name(campaign.line),
        "meaning": STATE_MEANING[campaign.state],
        "acts": acts,
        "criteria": [c for c in campaign.criteria.all() if c.key != OVERALL],
        "guidelines": guidelines_current(campaign=campaign),
        "queue": queue_figures(campaign=campaign),
        "raters": rater_rows(campaign=campaign),
    }
    return render(request, "campaigns/detail.html", context)


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def campaign_new(request: HttpRequest) -> HttpResponse:
    form = CampaignForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        data: dict[str, Any] = dict(form.cleaned_data)
        line = data.pop("line")
        require_role(request, *STAFF, line_id=line)
        campaign = services.campaign_create(line_id=line, author=person(request), **data)
        _audit(request, campaign, "created campaign")
        messages.success(
            request, "The campaign is a draft. Start it when its guidelines are right."
        )
        return redirect("campaigns:detail", campaign.pk)
    return render(request, "campaigns/new.html", {"form": form})


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def campaign_edit(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = campaign_for(request, campaign_id)
    form = SettingsForm(request.POST or None, instance=campaign)
    if request.method == "POST" and form.is_valid():
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if changed:
            before = Campaign.objects.get(pk=campaign.pk)
            detail = {name: [getattr(before, name), value] for name, value in changed.items()}
            services.campaign_update(campaign=campaign, **changed)
            _audit(request, campaign, "changed campaign", **detail)
        messages.success(request, "Saved.")
        return redirect("campaigns:detail", campaign.pk)
    return render(request, "campaigns/edit.html", {"campaign": campaign, "form": form})


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
        _audit(request, campaign, "changed state", before=before, after=campaign.state)
        messages.success(request, f"The campaign is {campaign.get_state_display().lower()} now.")
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
        _audit(request, campaign, "published guidelines", version=made.number)
        messages.success(
            request, f"Version {made.number} is in force. Everyone reads it before their next pair."
        )
        return redirect("campaigns:guidelines", campaign.pk)
    context = {"campaign": campaign, "versions": versions, "shown": shown, "form": form}
    return render(request, "campaigns/guidelines.html", context)


def _audit(request: HttpRequest, campaign: Campaign, verb: str, **detail: Any) -> None:
    audit_record(
        actor=request.user,
        verb=verb,
        target=f"campaign {campaign.name}",
        line=campaign.line,
        detail=detail,
    )
