"""Reads: who may label what, and whose judgments count."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from .models import Membership, Rater, Role, User

LABELLING_ROLES = (Role.ANNOTATOR, Role.ADJUDICATOR)


def memberships_on(*, user: User, line_id: UUID | None = None) -> QuerySet[Membership]:
    """The user's roles that hold on a line; without a line, those that hold anywhere."""
    rows = Membership.objects.filter(user=user)
    if line_id is not None:
        rows = rows.filter(Q(line=line_id) | Q(line__isnull=True))
    return rows


def user_may_label(*, user: User, line_id: UUID) -> bool:
    roles = memberships_on(user=user, line_id=line_id).values_list("role", flat=True)
    return user.is_active and bool(set(roles) & set(LABELLING_ROLES))


def rater_may_label(*, rater: Rater, line_id: UUID) -> bool:
    """Simulations may label wherever they are sent; a person needs a role there; imports never do."""
    if rater.excluded_at is not None:
        return False
    if rater.simulated:
        return True
    return rater.user is not None and user_may_label(user=rater.user, line_id=line_id)
