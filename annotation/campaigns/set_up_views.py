"""The campaign of a line that is being set up: made by the form for new campaigns, then looked at and started."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from web.access import STAFF, require_role, role_required
from web.setting_up import step_context, step_url

from .forms import CampaignForm
from .models import OVERALL
from .selectors import campaign_of_line, guidelines_current
from .setting_up import campaign_step
from .views import STATE_MEANING, campaign_made


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def set_up(request: HttpRequest, line_id: uuid.UUID) -> HttpResponse:
    """The form, or with a campaign there what it asks and what it lacks."""
    require_role(request, *STAFF, line_id=line_id)
    campaign = campaign_of_line(line_id=line_id)
    form = None
    if campaign is None:
        form = CampaignForm(request.POST or None, user=request.user, line_id=line_id)
        if request.method == "POST" and form.is_valid():
            campaign_made(request, form)
            return redirect(step_url("prompts", line_id))
    context = {**step_context(request, line_id, "campaign"), "form": form, "campaign": campaign}
    if campaign is not None:
        context |= {
            "meaning": STATE_MEANING[campaign.state],
            "criteria": [c for c in campaign.criteria.all() if c.key != OVERALL],
            "guidelines": guidelines_current(campaign=campaign),
            "state": campaign_step(campaign),
        }
    return render(request, "campaigns/set_up.html", context)
