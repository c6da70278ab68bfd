"""Who asks: a token in the header, its scope, and how often it has asked of late."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest
from ninja.security import HttpBearer

from web.models import RequestCount
from web.tokens import MISSING, NOT_IN_SCOPE, UNKNOWN, bearer_secret

from .problems import Refused

WINDOW_SECONDS = 60
COUNT = """
    INSERT INTO web_requestcount AS known (token, minute, asked) VALUES (%s, %s, 1)
    ON CONFLICT (token) DO UPDATE SET
        minute = excluded.minute,
        asked = CASE WHEN known.minute = excluded.minute THEN known.asked + 1 ELSE 1 END
    RETURNING token, minute, asked
"""


class TokenAuth(HttpBearer):
    """The check of one operation; afterwards `request.user` is the token's owner.

    Whether the owner's roles reach the row asked for is each operation's own question, put to the
    access function that its page asks too.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__()

    def __call__(self, request: HttpRequest) -> Any:
        token = caller(request)
        if self.scope not in token.scopes:
            raise Refused(403, NOT_IN_SCOPE.format(self.scope))
        return token

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        """Ninja's own way in, which asks less: `__call__` stands in its place."""
        raise NotImplementedError


def caller(request: HttpRequest) -> Any:
    """The token of this request, looked up and counted once; `Refused` with 401 or 429."""
    known = getattr(request, "api_caller", None)
    if known is not None:
        return known
    secret = bearer_secret(request)
    if not secret:
        raise Refused(401, MISSING)
    user: Any = authenticate(request, api_token=secret)
    if user is None:
        raise Refused(401, UNKNOWN)
    _counted(user.api_token.pk)
    request.user = user
    request.by_token = True  # type: ignore[attr-defined]
    request.api_caller = user.api_token  # type: ignore[attr-defined]
    return user.api_token


def _counted(token_id: UUID) -> None:
    """Count the request in its minute; `Refused` with 429 beyond the limit."""
    limit = settings.OUTERLOOP_API_PER_MINUTE
    now = time.time()
    if _asked(token_id, int(now // WINDOW_SECONDS)) > limit:
        wait = int(WINDOW_SECONDS - now % WINDOW_SECONDS) + 1
        raise Refused(
            429,
            f"This token has asked {limit} times in a minute: wait {wait} seconds.",
            headers={"Retry-After": str(wait)},
        )


def _asked(token_id: UUID, minute: int) -> int:
    """Requests of the token in this minute with this one: one statement, so that none goes uncounted."""
    (count,) = RequestCount.objects.raw(COUNT, [token_id, minute])
    return count.asked
