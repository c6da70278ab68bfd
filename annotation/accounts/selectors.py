"""Reads: who may label what, and whose judgments count."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from .models import Membership, Rater, Role, User

LABELLING_ROLES = (Role.ANNOTATOR, Role.ADJUDICATOR)


def memberships_on(*, user: User, line_id: UUID | None = None) -> QuerySet[Membership]:
    """The user's roles that hold on a line; without a line, those that hold anywhere."""
    rows = Membership.objects.filter(user=user)
    if line_id is not None:
        rows = rows.filter(Q(line=line_id) | Q(line__isnull=True))
    return rows


def users_found(*, name: str = "", role: str = "", account: str = "") -> QuerySet[User, User]:
    """Accounts whose user name, or name, contains `name`, with a role somewhere; `account` is "open" or
    "closed"."""
    users = User.objects.all()
    if name:
        parts = ("username", "first_name", "last_name")
        users = users.filter(
            reduce(or_, (Q(**{f"{part}__icontains": name}) for part in parts)),
        )
    if role:
        users = users.filter(Exists(Membership.objects.filter(user=OuterRef("pk"), role=role)))
    return users.filter(is_active=account == "open") if account else users


@dataclass(frozen=True)
class LinePerson:
    """Somebody by name with the roles that hold on a line; `signed_in` once they have."""

    name: str
    roles: tuple[str, ...]
    signed_in: bool


def people_of_line(*, line_id: UUID, limit: int) -> list[LinePerson]:
    """Who has a role that holds on the line, by name; at most `limit` of them."""
    on_it = Q(line=line_id) | Q(line__isnull=True)
    found = Membership.objects.filter(on_it, user__is_active=True)
    users = User.objects.filter(pk__in=found.values("user")).order_by("username")[:limit]
    users = users.prefetch_related(Prefetch("memberships", found, to_attr="here"))
    return [
        LinePerson(
            name=str(user),
            roles=tuple(sorted({str(one.get_role_display()) for one in user.here})),
            signed_in=user.last_login is not None,
        )
        for user in users
    ]


def user_may_label(*, user: User, line_id: UUID) -> bool:
    roles = memberships_on(user=user, line_id=line_id).values_list("role", flat=True)
    return user.is_active and bool(set(roles) & set(LABELLING_ROLES))


def rater_may_label(*, rater: Rater, line_id: UUID) -> bool:
    """Simulations may label wherever they are sent; a person needs a role there; imports never do."""
    if rater.simulated:
        return True
    return rater.user is not None and user_may_label(user=rater.user, line_id=line_id)
