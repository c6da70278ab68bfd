"""API tokens: made for a person, shown once, kept as a hash, revoked in one act.

A token is 32 random bytes, so that a plain SHA-256 of it cannot be turned back; a slow hash is for what
people choose. It can do what its owner's roles allow, within its scopes, and only where a view takes tokens.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from datetime import timedelta

from django.contrib.auth.backends import BaseBackend
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from annotation.contracts import AnnotationError
from web.access import ADJUDICATOR, ANNOTATOR, ENGINEER, LEAD, STAFF, roles_of
from web.clock import Now, database_now, from_now
from web.tokens import LABEL, PREFIX, ROUNDS, SCOPES, WEBHOOKS

from .models import ApiToken, User

SHOWN = len(PREFIX) + 4
LONGEST_DAYS = 365
LONGEST_NAME = 60
# Who can use a scope at all; on which line, the addresses themselves ask.
SCOPE_ROLES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(SCOPES, STAFF),
    LABEL: (ANNOTATOR, ADJUDICATOR),
    ROUNDS: (ENGINEER,),
    WEBHOOKS: (LEAD,),
}


class ApiTokenBackend(BaseBackend):
    """Django's door for `authenticate(request, api_token=...)`; it signs nobody in by password."""

    def authenticate(self, request: HttpRequest | None, *, api_token: str) -> User | None:  # type: ignore[override]
        return token_user(api_token)


def scopes_open_to(user: User) -> list[str]:
    """The scopes of which this person's roles can use something."""
    held = roles_of(user)
    return [scope for scope in SCOPES if not held.isdisjoint(SCOPE_ROLES[scope])]


def token_issue(
    *, user: User, name: str, days: int, scopes: Collection[str]
) -> tuple[ApiToken, str]:
    """A new token and its secret, which is stored nowhere. Raises `AnnotationError`."""
    if not 1 <= days <= LONGEST_DAYS:
        raise AnnotationError(f"A token lasts 1 to {LONGEST_DAYS} days, not {days}.")
    if not name.strip():
        raise AnnotationError("Give the token a name that says what uses it.")
    if len(name.strip()) > LONGEST_NAME:
        raise AnnotationError(f"Give the token a name of at most {LONGEST_NAME} letters.")
    unknown = sorted(set(scopes) - SCOPES.keys())
    if unknown or not scopes:
        raise AnnotationError(f"Choose scopes among {', '.join(SCOPES)}, at least one.")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name.strip(),
        digest=_digest(secret),
        beginning=secret[:SHOWN],
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires_at=database_now() + timedelta(days=days),
    )
    return token, secret


def token_revoke(*, token: ApiToken) -> bool:
    """Revoke the token at once; False where it was revoked before."""
    fresh = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
    return fresh.update(revoked_at=Now()) == 1


def token_user(secret: str) -> User | None:
    """Whom the token stands for, with the token as `api_token`, while it is valid and the account open."""
    if not secret.startswith(PREFIX):
        return None
    valid = ApiToken.objects.filter(
        digest=_digest(secret), revoked_at=None, expires_at__gt=Now(), user__is_active=True
    )
    token = valid.select_related("user").first()
    if token is None:
        return None
    stale = Q(last_used_at=None) | Q(last_used_at__lt=from_now(-timedelta(minutes=1)))
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=Now())
    user: User = token.user
    user.api_token = token
    return user


def tokens_of(user: User) -> QuerySet[ApiToken, ApiToken]:
    return ApiToken.objects.filter(user=user).order_by("-created_at")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
