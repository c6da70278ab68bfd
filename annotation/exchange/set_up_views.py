"""The prompts of a line that is being set up: pasted or sent as a file, by the form for imports."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.campaigns.selectors import campaign_of_line
from web.access import STAFF, require_role, role_required
from web.jobs import JOB_MEANING
from web.setting_up import step_context

from .forms import PromptsForm
from .models import ImportJob
from .setting_up import UNDER_WAY, prompts_step
from .views import import_ordered

JOBS_SHOWN = 5


@require_http_methods(["GET", "POST"])
@never_cache
@role_required(*STAFF)
def set_up(request: HttpRequest, line_id: uuid.UUID) -> HttpResponse:
    """The form, and the imports so far."""
    require_role(request, *STAFF, line_id=line_id)
    campaign = campaign_of_line(line_id=line_id)
    form = PromptsForm(
        request.POST or None,
        request.FILES or None,
        user=request.user,
        line_id=line_id,
        campaign=campaign,
    )
    if request.method == "POST" and form.is_valid():
        job = import_ordered(request, form)
        if job is not None:
            messages.success(request, f"{job.name} is being taken in; this page follows it.")
            return redirect("exchange:set_up", line_id)
    jobs = list(ImportJob.objects.filter(line=line_id)[:JOBS_SHOWN])
    context = {
        **step_context(request, line_id, "prompts"),
        "form": form,
        "campaign": campaign,
        "state": prompts_step(line_id),
        "jobs": [{"job": job, "meaning": JOB_MEANING[job.state]} for job in jobs],
        "live": "2s" if any(job.state in UNDER_WAY for job in jobs) else "",
    }
    return render(request, "exchange/set_up.html", context)
