"""The two buttons of a canary: leads widen it, leads and engineers take it back as they roll back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from evaluation.gates import services
from evaluation.gates.records import GateError
from training import facade as training
from web.access import ENGINEER, LEAD, person, require_role


@require_POST
@login_required
def widen(request: HttpRequest, line_id: UUID, canary_id: UUID) -> HttpResponse:
    """Deploy the canary to everybody."""
    require_role(request, LEAD, line_id=line_id)
    try:
        done = services.canary_widen(line_id=line_id, canary_id=canary_id, actor=person(request))
    except (GateError, training.ArtifactMismatch) as error:
        messages.error(request, str(error))
    else:
        name = training.model_version_get(done.version_id).name
        messages.success(request, f"{name} is deployed to everybody.")
    return redirect("gates:deployments", line_id)


@require_POST
@login_required
def take_back(request: HttpRequest, line_id: UUID, canary_id: UUID) -> HttpResponse:
    """Let the deployed version answer everybody again."""
    require_role(request, ENGINEER, LEAD, line_id=line_id)
    try:
        services.canary_take_back(line_id=line_id, canary_id=canary_id, actor=person(request))
    except GateError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The canary is taken back.")
    return redirect("gates:deployments", line_id)
