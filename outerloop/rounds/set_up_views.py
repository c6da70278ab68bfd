"""Making a line in the browser: its name and model, then the look over what is still missing."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from web.access import LEAD, STAFF, lines_of, person, role_required, roles_of
from web.services import audit_record
from web.setting_up import step_context

from .access import line_for
from .bases import base_order
from .locking import RoundRefused
from .models import PolicyLine
from .plan import RoundPlan
from .services import line_create
from .set_up_forms import BaseForm, LineForm
from .setting_up import base_state
from .tasks import base_enqueue


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def line_new(request: HttpRequest) -> HttpResponse:
    """For engineers and leads of every line: who has roles on some would have none on the new one."""
    if lines_of(request.user, *STAFF) is not None:
        raise PermissionDenied("Only an engineer or lead of every line may make a line.")
    form = LineForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        line = _line_made(request, form)
        messages.success(request, f"{line.name} is made. A worker checks its model meanwhile.")
        return redirect("campaigns:set_up", line.id)
    return render(request, "rounds/line_new.html", {"form": form})


@transaction.atomic
def _line_made(request: HttpRequest, form: LineForm) -> PolicyLine:
    data, actor = form.cleaned_data, str(person(request).pk)
    line = line_create(
        name=data["name"], slug=data["slug"], description=data["description"], plan=RoundPlan()
    )
    audit_record(actor=actor, verb="made line", target=line.slug, line=line.id)
    order = base_order(line=line, **form.source(), actor=actor)
    transaction.on_commit(lambda: base_enqueue(order.pk))
    return line


@login_required
@require_http_methods(["GET", "POST"])
def base_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The base policy of the line; where it has none and none is under way, the form that orders one."""
    line = line_for(request, slug, *STAFF)
    form = BaseForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            made = base_order(line=line, **form.source(), actor=str(person(request).pk))
        except RoundRefused as refusal:
            messages.error(request, str(refusal))
        else:
            transaction.on_commit(lambda: base_enqueue(made.pk))
            messages.success(request, "The model is ordered; this page follows it.")
        return redirect("rounds:base", slug=slug)
    state = base_state(line)
    context = {
        **step_context(request, line.id, "base"),
        "line": line,
        "form": form,
        "state": state,
        "order": line.base_orders.first(),
        "open": not (state.done or state.under_way),
        "live": "2s" if state.under_way else "",
    }
    return render(request, "rounds/base.html", context)


@login_required
@require_GET
def set_up_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What is there and what is still missing, each with the page or the button that brings it."""
    line = line_for(request, slug, *STAFF)
    context = {
        **step_context(request, line.id, "review"),
        "line": line,
        "may_decide": LEAD in roles_of(request.user, line.id),
        "live": "5s",
    }
    return render(request, "rounds/set_up.html", context)
