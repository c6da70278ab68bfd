"""The pages of runs: parse, authorise, call one service, render."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from web.access import STAFF, lines_of, require_role, role_required
from web.services import audit_record

from . import selectors, services
from .models import Run
from .pages import run_context, runs_context
from .records import RunRecord


def run_for(request: HttpRequest, run_id: UUID) -> RunRecord:
    """The access function: engineers and leads of the run's line."""
    try:
        run = selectors.run_get(run_id)
    except Run.DoesNotExist as error:
        raise Http404("There is no such run.") from error
    require_role(request, *STAFF, line_id=run.line_id)
    return run


@require_GET
@role_required(*STAFF)
def run_list(request: HttpRequest) -> HttpResponse:
    context = runs_context(lines_of(request.user, *STAFF), request.GET)
    return render(request, "runs/list.html", context)


@login_required
@require_GET
@never_cache
def run_page(request: HttpRequest, run_id: UUID) -> HttpResponse:
    return render(request, "runs/run.html", run_context(run_for(request, run_id)))


@login_required
@require_POST
def run_cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Cancel a run that belongs to no round; that of a round is cancelled with its round."""
    run = run_for(request, run_id)
    if run.round_id is not None:
        messages.error(request, "This run belongs to a round: cancel the round.")
        return redirect("runs:run", run_id=run_id)
    services.run_cancel(run_id=run_id)
    audit_record(
        actor=request.user, verb="cancelled run", target=f"{run.kind} {run.id}", line=run.line_id
    )
    messages.info(request, "The run is being cancelled; its last checkpoint is kept.")
    return redirect("runs:run", run_id=run_id)
