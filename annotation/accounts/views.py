"""People and their roles, for leads: each gives and takes roles on the lines that they lead."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation.contracts import AnnotationError
from web.access import LEAD, lines_of, role_required
from web.paging import page_by_key
from web.registry import line_name
from web.services import audit_record

from .erasure import Erasure, person_erase
from .forms import EraseForm, PersonForm, RoleForm
from .models import Membership, Rater, Role, User
from .people import person_add, person_set_active
from .services import membership_grant, membership_revoke


@require_http_methods(["GET", "POST"])
@never_cache
@role_required(LEAD)
def people(request: HttpRequest) -> HttpResponse:
    """Everyone with an account; a POST adds one and shows the first password this one time."""
    form = PersonForm(request.POST or None, lead=request.user)
    added = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        user, password = person_add(
            username=data["username"], email=data["email"], role=data["role"], line_id=data["line"]
        )
        _audit(request, "added person", user, role=data["role"])
        added = {"user": user, "password": password}
        form = PersonForm(lead=request.user)
    users = User.objects.prefetch_related("memberships")
    page = page_by_key(users, query=request.GET, fields=("username",), size=50)
    rows = [_row(user, request.user) for user in page.rows]
    context = {"form": form, "added": added, "page": page, "rows": rows}
    return render(request, "accounts/people.html", context)


def _row(user: User, lead: object) -> dict[str, object]:
    allowed = lines_of(lead, LEAD)
    roles = [
        {
            "membership": membership,
            "label": membership.get_role_display(),
            "line": line_name(membership.line) if membership.line else "",
            "mine_to_take": user != lead and (allowed is None or membership.line in allowed),
        }
        for membership in user.memberships.all()
    ]
    return {
        "user": user,
        "roles": roles,
        "form": RoleForm(lead=lead, auto_id=f"role-{user.pk}-%s"),
        "may_close": allowed is None and user != lead,
    }


@require_POST
@role_required(LEAD)
def role_give(request: HttpRequest, user_id: uuid.UUID) -> HttpResponse:
    user = get_object_or_404(User, pk=user_id)
    form = RoleForm(request.POST, lead=request.user)
    if form.is_valid():
        role, line = form.cleaned_data["role"], form.cleaned_data["line"]
        membership_grant(user=user, role=role, line_id=line)
        _audit(request, "gave role", user, line=line, role=role)
        messages.success(request, f"{user} is {Role(role).label.lower()} now.")
    else:
        messages.error(request, " ".join(str(e) for errors in form.errors.values() for e in errors))
    return redirect("accounts:people")


@require_POST
@role_required(LEAD)
def role_take(request: HttpRequest, user_id: uuid.UUID, membership_id: int) -> HttpResponse:
    membership = get_object_or_404(Membership, pk=membership_id, user_id=user_id)
    allowed = lines_of(request.user, LEAD)
    if allowed is not None and membership.line not in allowed:
        raise PermissionDenied("You may take roles only on the lines that you lead.")
    if membership.user == request.user:
        messages.error(request, "Another lead must take a role from you.")
        return redirect("accounts:people")
    user, role, line = membership.user, membership.role, membership.line
    membership_revoke(user=user, role=role, line_id=line)
    _audit(request, "took role", user, line=line, role=role)
    messages.success(request, f"{user} is not {Role(role).label.lower()} there any more.")
    return redirect("accounts:people")


@require_POST
@role_required(LEAD)
def person_state(request: HttpRequest, user_id: uuid.UUID) -> HttpResponse:
    if lines_of(request.user, LEAD) is not None:
        raise PermissionDenied("Only a lead of every line may close an account.")
    user = get_object_or_404(User, pk=user_id)
    if user == request.user:
        messages.error(request, "Another lead must close your account.")
        return redirect("accounts:people")
    active = request.POST.get("active") == "yes"
    person_set_active(user=user, active=active)
    _audit(request, "opened account" if active else "closed account", user)
    messages.success(request, f"The account of {user} is {'open again' if active else 'closed'}.")
    return redirect("accounts:people")


@require_http_methods(["GET", "POST"])
@never_cache
@role_required(LEAD)
def erase(request: HttpRequest, user_id: uuid.UUID) -> HttpResponse:
    """What erasing means for this person, and the button; for leads of every line."""
    if lines_of(request.user, LEAD) is not None:
        raise PermissionDenied("Only a lead of every line may erase a person.")
    user = get_object_or_404(User, pk=user_id)
    form = EraseForm(request.POST or None, username=user.username)
    if request.method == "POST" and form.is_valid():
        try:
            erased = person_erase(
                person=user, actor=request.user, reasons=form.cleaned_data["reasons"]
            )
        except AnnotationError as error:
            messages.error(request, str(error))
            return redirect("accounts:people")
        messages.success(request, _erased_note(erased))
        return redirect("accounts:people")
    judged = user.rater.judgments.count() if Rater.objects.filter(user=user).exists() else 0
    context = {"form": form, "person": user, "judgments": judged}
    return render(request, "accounts/erase.html", context)


def _erased_note(erased: Erasure) -> str:
    if not erased.pseudonym:
        return "The person is erased. There were no judgments."
    return f"The person is erased. {erased.judgments} judgments stay under {erased.pseudonym}."


def _audit(
    request: HttpRequest, verb: str, user: User, line: uuid.UUID | None = None, **detail: str
) -> None:
    audit_record(
        actor=request.user, verb=verb, target=f"person {user.pk}", line=line, detail=detail
    )
