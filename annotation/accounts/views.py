"""People and their roles, for leads: each gives and takes roles on the lines that they lead."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms import CharField, Field
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation.contracts import AnnotationError
from web.access import LEAD, lines_of, person, role_required
from web.paging import page_by_key
from web.registry import line_names
from web.services import audit_record
from web.tables import Sort, choice_filter, table_asked

from .erasure import Erasure, person_erase
from .forms import EraseForm, ManyPeopleForm, PersonForm, RoleForm, line_choices
from .inviting import people_invite
from .models import Membership, Rater, Role, User
from .people import person_add, person_set_active
from .selectors import users_found
from .services import membership_grant, membership_revoke

SORTS = {
    "name": Sort("user name", ("username",)),
    "newest": Sort("newest first", ("-date_joined", "-id")),
}


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
        audited(request, "added person", user, role=data["role"])
        added = {"user": user, "password": password}
        form = PersonForm(lead=request.user)
    table = table_asked(request.GET, sorts=SORTS, filters=_filters())
    users = users_found(**table.chosen).prefetch_related("memberships")
    page = page_by_key(users, query=request.GET, fields=table.fields, size=50)
    rows = _rows(page.rows, request.user)
    context = {"form": form, "added": added, "page": page, "rows": rows, "table": table}
    return render(request, "accounts/people.html", context)


@require_http_methods(["GET", "POST"])
@never_cache
@role_required(LEAD)
def people_many(request: HttpRequest) -> HttpResponse:
    """A table of people to invite; what it did is shown this one time."""
    form = ManyPeopleForm(request.POST or None, request.FILES or None)
    invited = None
    if request.method == "POST" and form.is_valid():
        try:
            invited = people_invite(table=form.text(), lead=person(request))
        except AnnotationError as error:
            form.add_error(None, str(error))
        else:
            form = ManyPeopleForm()
    context = {"form": form, "invited": invited, "mailed": bool(settings.EMAIL_HOST)}
    return render(request, "accounts/people_many.html", context)


def _filters() -> dict[str, Field]:
    return {
        "name": CharField(max_length=150, label="Name contains"),
        "role": choice_filter("Role", list(Role.choices), every="any"),
        "account": choice_filter("Account", [("open", "open"), ("closed", "closed")], every="any"),
    }


def _rows(users: Iterable[User], lead: object) -> list[dict[str, object]]:
    """The people of one page; what they have in common is asked once."""
    allowed, lines = lines_of(lead, LEAD), line_choices(lead)
    names = {line.id: line.name for line in line_names()}
    return [_row(user, lead, allowed, lines, names) for user in users]


def _row(
    user: User,
    lead: object,
    allowed: set[uuid.UUID] | None,
    lines: list[tuple[str, str]],
    names: Mapping[uuid.UUID, str],
) -> dict[str, object]:
    roles = [
        {
            "membership": membership,
            "label": membership.get_role_display(),
            "line": names.get(membership.line, str(membership.line)[:8]) if membership.line else "",
            "mine_to_take": user != lead and (allowed is None or membership.line in allowed),
        }
        for membership in user.memberships.all()
    ]
    return {
        "user": user,
        "email": user.email if user == lead or _shares_a_line(user, allowed) else "",
        "roles": roles,
        "form": RoleForm(lead=lead, lines=lines, auto_id=f"role-{user.pk}-%s"),
        "may_close": allowed is None and user != lead,
    }


def _shares_a_line(user: User, allowed: set[uuid.UUID] | None) -> bool:
    """Whether the person has a role on one of the lines that a lead leads; None leads them all."""
    lines = {membership.line for membership in user.memberships.all()}
    return allowed is None or bool(lines & {None, *allowed})


@require_POST
@role_required(LEAD)
def role_give(request: HttpRequest, user_id: uuid.UUID) -> HttpResponse:
    user = get_object_or_404(User, pk=user_id)
    form = RoleForm(request.POST, lead=request.user)
    if form.is_valid():
        role, line = form.cleaned_data["role"], form.cleaned_data["line"]
        membership_grant(user=user, role=role, line_id=line)
        audited(request, "gave role", user, line=line, role=role)
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
    audited(request, "took role", user, line=line, role=role)
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
    audited(request, "opened account" if active else "closed account", user)
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


def audited(
    request: HttpRequest, verb: str, user: User, line: uuid.UUID | None = None, **detail: str
) -> None:
    audit_record(
        actor=request.user, verb=verb, target=f"person {user.pk}", line=line, detail=detail
    )
