"""The two buttons of a shadow: leads start it, leads and engineers end it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from evaluation.gates import services
from evaluation.gates.forms import ShadowForm
from evaluation.gates.records import GateError
from training import facade as training
from web.access import ENGINEER, LEAD, person, require_role


@require_POST
@login_required
def start(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """Let a policy answer a share of the requests unseen."""
    require_role(request, LEAD, line_id=line_id)
    form = ShadowForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose a policy and a share of the requests.")
        return redirect("gates:deployments", line_id)
    try:
        found = services.shadow_start(
            line_id=line_id,
            version_id=form.cleaned_data["version"],
            share=form.cleaned_data["share"],
            actor=person(request),
        )
    except (GateError, training.ArtifactMismatch, LookupError) as error:
        messages.error(request, str(error))
    else:
        name = training.model_version_get(found.version_id).name
        messages.success(request, f"{name} answers {found.share}% of the requests unseen.")
    return redirect("gates:deployments", line_id)


@require_POST
@login_required
def end(request: HttpRequest, line_id: UUID, shadow_id: UUID) -> HttpResponse:
    """What was counted stays on the page."""
    require_role(request, ENGINEER, LEAD, line_id=line_id)
    try:
        services.shadow_stop(line_id=line_id, shadow_id=shadow_id, actor=person(request))
    except GateError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The shadow has ended.")
    return redirect("gates:deployments", line_id)
