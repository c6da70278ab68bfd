"""The actors of the page tests: people with a role, and one without."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth import get_user_model


def person_create(name: str, *roles: str, line: uuid.UUID | None = None) -> Any:
    user = get_user_model().objects.create_user(
        name, email=f"{name}@example.org", password="secret-of-" + name, toured=True
    )
    for role in roles:
        user.memberships.create(role=role, line=line)
    return user
