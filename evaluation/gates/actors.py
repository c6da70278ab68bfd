"""Who did it: a person with an account, or a process such as "schedule"."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser

ACTOR_LENGTH = 100

Actor = AbstractBaseUser | uuid.UUID | str


def actor_key(actor: Actor) -> str:
    """The text that is kept: a user's id, or the name of a process."""
    key = str(actor.pk) if isinstance(actor, AbstractBaseUser) else str(actor)
    if not key or len(key) > ACTOR_LENGTH:
        raise ValueError(f"an actor is a user or a process name of 1 to {ACTOR_LENGTH} letters.")
    return key


def actor_names(keys: Iterable[str]) -> dict[str, str]:
    """What to show for each key; a person who was erased reads "a former member"."""
    wanted = set(keys)
    ids = {key: parsed for key in wanted if (parsed := _user_id(key)) is not None}
    users = get_user_model().objects.filter(pk__in=ids.values())
    known = {str(user.pk): str(user) for user in users}
    return {key: known.get(key, "a former member" if key in ids else key) for key in wanted}


def actor_name(key: str) -> str:
    return actor_names([key])[key]


def _user_id(key: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(key)
    except ValueError:
        return None
