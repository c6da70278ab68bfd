"""The gate policy and the deployments of a line. Everybody of the line reads; leads change
thresholds, leads and engineers roll back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evaluation.gates import services
from evaluation.gates.design import design_asked
from evaluation.gates.forms import (
    SHADOW_SHARES,
    GatePolicyForm,
    PolicyAnswerForm,
    RollbackForm,
)
from evaluation.gates.label_plans import label_plan_keep, planned_and_actual
from evaluation.gates.notices import second_lead_tell
from evaluation.gates.pages import deployments_page, gate_policy_page, rollback_page
from evaluation.gates.policies import gate_policy_current
from evaluation.gates.records import GateError
from training import facade as training
from web.access import ENGINEER, LEAD, person, require_role
from web.registry import line_name


@require_GET
@login_required
def gate_policy(request: HttpRequest, line_id: UUID) -> HttpResponse:
    roles = require_role(request, ENGINEER, LEAD, line_id=line_id)
    page = gate_policy_page(gate_policy_current(line_id), request.GET)
    asked_by = str(request.user.pk)
    context = {"page": page, "may_edit": LEAD in roles, "me": asked_by}
    return render(request, "gates/policy.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def label_design(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """Labels, days and cost until the line's next gate decides and its reward model is as accurate as wished, for
    what is expected. Posted, it is kept: what is labelled from then on is held beside it."""
    require_role(request, ENGINEER, LEAD, line_id=line_id)
    asked = request.POST if request.method == "POST" else request.GET or None
    form, page = design_asked(line_id, asked)
    if request.method == "POST" and page.design and page.forecast:
        label_plan_keep(
            line_id=line_id,
            effect=form.cleaned_data["effect"],
            design=page.design,
            forecast=page.forecast,
            actor=person(request),
        )
        messages.success(
            request, "The plan is kept. What is labelled from now on stands beside it."
        )
        return redirect("gates:label_design", line_id)
    context = {
        "form": form,
        "page": page,
        "kept": planned_and_actual(line_id),
        "line_id": line_id,
        "line_name": line_name(line_id),
    }
    return render(request, "gates/design.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def gate_policy_edit(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """A change that makes the gate no weaker counts at once; another is put before a second lead."""
    require_role(request, LEAD, line_id=line_id)
    current = gate_policy_current(line_id)
    form = GatePolicyForm(request.POST or None, current=current.gate_settings)
    if request.method == "POST" and form.is_valid():
        try:
            said = _policy_change(request, line_id, form)
        except GateError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, said)
            return redirect("gates:policy", line_id)
    context = {"form": form, "line_id": line_id, "line_name": line_name(line_id)}
    return render(request, "gates/policy_edit.html", context)


def _policy_change(request: HttpRequest, line_id: UUID, form: GatePolicyForm) -> str:
    """Save the form, or ask for it; what was done, for the person."""
    change: dict[str, Any] = {
        "line_id": line_id,
        "settings": form.settings(),
        "actor": person(request),
        "expected_version": form.cleaned_data["version"],
    }
    if form.weaker:
        reason = form.cleaned_data["reason"]
        asked = services.gate_policy_request(**change, reason=reason)
        second_lead_tell(asked, by=person(request))
        return "Nothing has changed yet: the weaker policy waits for a second lead."
    saved = services.gate_policy_save(**change)
    return f"Saved as version {saved.version}; it counts from now on."


@require_POST
@login_required
def gate_policy_answer(request: HttpRequest, line_id: UUID, request_id: UUID) -> HttpResponse:
    """The second lead's yes or no to a weaker policy, or the first one's withdrawal."""
    require_role(request, LEAD, line_id=line_id)
    form = PolicyAnswerForm(request.POST)
    try:
        if not form.is_valid():
            raise GateError("Choose whether the weaker policy counts.")
        saved = services.gate_policy_answer(
            line_id=line_id,
            request_id=request_id,
            answer=form.cleaned_data["answer"],
            actor=person(request),
        )
    except GateError as error:
        messages.error(request, str(error))
        return redirect("gates:policy", line_id)
    counts = f"Version {saved.version} counts from now on." if saved else ""
    messages.success(request, counts or "The weaker policy does not count; nothing has changed.")
    return redirect("gates:policy", line_id)


@require_GET
@login_required
def deployments(request: HttpRequest, line_id: UUID) -> HttpResponse:
    roles = require_role(request, ENGINEER, LEAD, line_id=line_id)
    page = deployments_page(line_id, request.GET)
    context = {"page": page, "may_widen": LEAD in roles, "shadow_shares": SHADOW_SHARES}
    return render(request, "gates/deployments.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def rollback(request: HttpRequest, line_id: UUID, version_id: UUID) -> HttpResponse:
    """GET asks for the reason; POST moves the pointer back."""
    require_role(request, ENGINEER, LEAD, line_id=line_id)
    page = rollback_page(line_id, version_id)
    if page is None:
        messages.error(request, "This policy cannot be rolled back to from here; choose another.")
        return redirect("gates:deployments", line_id)
    form = RollbackForm(request.POST or None, initial={"version": version_id})
    if request.method == "POST" and form.is_valid():
        try:
            services.rollback(
                line_id=line_id,
                to_version=version_id,
                actor=str(request.user.pk),
                reason=form.cleaned_data["reason"],
            )
        except (GateError, training.ArtifactMismatch) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{page.name} is deployed again.")
            return redirect("gates:deployments", line_id)
    return render(request, "gates/rollback.html", {"form": form, "page": page})
