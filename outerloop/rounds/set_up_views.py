"""Making a line in the browser: its name and model, then the look over what is still missing."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from web.access import LEAD, STAFF, person, role_required, roles_of
from web.setting_up import step_context

from .access import line_for
from .bases import base_order
from .locking import RoundRefused
from .making import line_make, line_maker_check
from .set_up_forms import BaseForm, LineForm
from .setting_up import base_state
from .tasks import base_enqueue


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def line_new(request: HttpRequest) -> HttpResponse:
    line_maker_check(request.user)
    form = LineForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        named = {field: data[field] for field in ("name", "slug", "description")}
        try:
            line, order = line_make(**named, source=form.source(), actor=person(request))
        except RoundRefused as refusal:
            form.add_error("slug", str(refusal))
        else:
            transaction.on_commit(lambda: base_enqueue(order.pk))
            messages.success(request, f"{line.name} is made. A worker checks its model meanwhile.")
            return redirect("campaigns:set_up", line.id)
    return render(request, "rounds/line_new.html", {"form": form})


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
