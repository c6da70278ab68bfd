"""Adding people: by invitation of a lead, with a password shown once."""

from __future__ import annotations

import secrets
from uuid import UUID

from django.db import transaction

from .models import Role, User
from .services import membership_grant


@transaction.atomic
def person_add(
    *, username: str, email: str, role: Role | str, line_id: UUID | None = None
) -> tuple[User, str]:
    """A new account with one role, and its first password, which is stored nowhere in the clear."""
    password = secrets.token_urlsafe(12)
    user = User.objects.create_user(username=username, email=email, password=password)
    membership_grant(user=user, role=role, line_id=line_id)
    return user, password


def person_set_active(*, user: User, active: bool) -> None:
    """Close the account, or open it again; what the person did stays."""
    user.is_active = active
    user.save(update_fields=["is_active"])
