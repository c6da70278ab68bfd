"""Who did it: a person with an account, or a process such as "schedule"."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser

from web.audit import people_named

ACTOR_LENGTH = 100

Actor = AbstractBaseUser | uuid.UUID | str


def actor_key(actor: Actor) -> str:
    """The text that is kept: a user's id, or the name of a process."""
    key = str(actor.pk) if isinstance(actor, AbstractBaseUser) else str(actor)
    if not key or len(key) > ACTOR_LENGTH:
        raise ValueError(f"an actor is a user or a process name of 1 to {ACTOR_LENGTH} letters.")
    return key


def actor_name(key: str) -> str:
    """What to show for a key; a person who was erased reads "a former member"."""
    return people_named([key])[key]
