"""Who may do what: the roles of a user, on one policy line or anywhere, and who holds a role there.

This module imports no room: it reads the memberships through the user model's related name
`memberships` (fields `role` and `line`, an empty `line` standing for every line).
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase

if TYPE_CHECKING:
    from django.contrib.auth.models import _User

    User: TypeAlias = _User  # the model that AUTH_USER_MODEL names

ANNOTATOR = "annotator"
ADJUDICATOR = "adjudicator"
ENGINEER = "engineer"
LEAD = "lead"
STAFF = (ENGINEER, LEAD)

Params = ParamSpec("Params")
View = Callable[Concatenate[HttpRequest, Params], HttpResponseBase]


def roles_of(user: Any, line_id: uuid.UUID | None = None) -> set[str]:
    """The roles of `user` on the line; without a line, the roles held anywhere (for navigation)."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return set()
    memberships = user.memberships.all()
    if line_id is not None:
        memberships = memberships.filter(Q(line=line_id) | Q(line=None))
    return set(memberships.values_list("role", flat=True))


def lines_of(user: Any, *roles: str) -> set[uuid.UUID] | None:
    """The lines on which `user` holds one of the roles; None stands for every line."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return set()
    lines = set(user.memberships.filter(role__in=roles).values_list("line", flat=True))
    return None if None in lines else lines


def person(request: HttpRequest) -> User:
    """The signed-in user, for a view that lets nobody else in."""
    assert request.user.is_authenticated
    return request.user


def people_with(*roles: str, line_id: uuid.UUID | None) -> QuerySet[User]:
    """Active users who hold one of the roles on this line or on every line; None: on every line."""
    mine = Q(memberships__line=line_id) | Q(memberships__line=None)
    users = get_user_model().objects.filter(mine, memberships__role__in=roles, is_active=True)
    return users.distinct()


def require_role(request: HttpRequest, *roles: str, line_id: uuid.UUID | None = None) -> set[str]:
    """The roles that the signed-in person holds; PermissionDenied where none of `roles` is among them.

    A page about one line passes `line_id`: without it a role on any line is enough.
    """
    held = roles_of(request.user, line_id)
    if held.isdisjoint(roles):
        raise PermissionDenied(f"This page is for: {', '.join(roles)}.")
    return held


def role_required(*roles: str) -> Callable[[View[Params]], View[Params]]:
    """Decorator of a view: sign in first, then hold one of the roles on some line."""

    def decorate(view: View[Params]) -> View[Params]:
        @functools.wraps(view)
        def guarded(
            request: HttpRequest, /, *args: Params.args, **kwargs: Params.kwargs
        ) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            require_role(request, *roles)
            return view(request, *args, **kwargs)

        return guarded

    return decorate
