"""The people of a line that is being set up: a role for who has an account, an invitation for who has none."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from web.access import LEAD, person, require_role, role_required
from web.setting_up import step_context

from .forms import InviteForm, KnownPersonForm
from .inviting import person_invite
from .models import Role, User
from .selectors import people_of_line, users_found
from .services import membership_grant
from .setting_up import people_step
from .views import audited

PEOPLE_SHOWN = 50
OFFERED = 200


@require_http_methods(["GET", "POST"])
@never_cache
@role_required(LEAD)
def set_up(request: HttpRequest, line_id: uuid.UUID) -> HttpResponse:
    """Who is there; a POST gives a role (`known`), or invites and shows the link this one time."""
    require_role(request, LEAD, line_id=line_id)
    posted, known = request.POST or None, "known" in request.POST
    giving = KnownPersonForm(posted if known else None, auto_id="known-%s")
    inviting = InviteForm(None if known else posted, lead=request.user, line_id=line_id)
    invited = None
    if known and giving.is_valid():
        _role_given(request, line_id, giving)
        return redirect("accounts:set_up", line_id)
    if posted and not known and inviting.is_valid():
        invited = person_invite(person=inviting.cleaned_data, lead=person(request))
        inviting = InviteForm(lead=request.user, line_id=line_id)
    context = {
        **step_context(request, line_id, "people"),
        "giving": giving,
        "inviting": inviting,
        "invited": invited,
        "mailed": bool(settings.EMAIL_HOST),
        "state": people_step(line_id),
        "people": people_of_line(line_id=line_id, limit=PEOPLE_SHOWN),
        "offered": users_found(account="open").order_by("username")[:OFFERED],
    }
    return render(request, "accounts/set_up.html", context)


def _role_given(request: HttpRequest, line_id: uuid.UUID, form: KnownPersonForm) -> None:
    user: User = form.cleaned_data["username"]
    role = Role(form.cleaned_data["role"])
    membership_grant(user=user, role=role, line_id=line_id)
    audited(request, "gave role", user, line=line_id, role=role)
    messages.success(request, f"{user} is {role.label.lower()} now.")
