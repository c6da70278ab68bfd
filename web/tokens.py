"""API tokens at the door: `Authorization: Bearer TOKEN` in place of a session, where a view takes it.

Who a token stands for is the business of an authentication backend that understands `api_token`; this
module imports no room. A token opens only views that are marked: everywhere else it is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

PREFIX = "outerloop_"
UNKNOWN = "The API token is unknown, revoked or expired: make a new one on the page API tokens."
MISSING = "Send an API token: Authorization: Bearer TOKEN."
ELSEWHERE = "This address takes no API token: sign in with a browser."

Params = ParamSpec("Params")
ViewT = TypeVar("ViewT", bound=Callable[..., HttpResponseBase])
View = Callable[Concatenate[HttpRequest, Params], HttpResponseBase]


def takes_tokens(view: ViewT) -> ViewT:
    """Mark a view that reads only: besides a session it takes a token."""
    view.takes_tokens = True  # type: ignore[attr-defined] # a mark on a function, as Django sets them
    return view


def token_required(view: View[Params]) -> View[Params]:
    """A view for programs: a token and nothing else, so that no other site can use a cookie here."""

    @csrf_exempt
    @takes_tokens
    @functools.wraps(view)
    def guarded(
        request: HttpRequest, /, *args: Params.args, **kwargs: Params.kwargs
    ) -> HttpResponseBase:
        if not getattr(request, "by_token", False):
            return _refusal(401, MISSING)
        return view(request, *args, **kwargs)

    return guarded


class BearerTokens:
    """Middleware, after the session's and before the CSRF check."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        if not getattr(view, "takes_tokens", False):
            # Another kind of token, such as the one for the metrics, is the view's own business.
            return _refusal(403, ELSEWHERE) if secret.startswith(PREFIX) else None
        user = authenticate(request, api_token=secret.strip())
        if user is None:
            return _refusal(401, UNKNOWN)
        request.user = user
        request.by_token = True  # type: ignore[attr-defined]
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A program reads JSON, not the page with the same sentence."""
        if not getattr(request, "by_token", False):
            return None
        if isinstance(error, PermissionDenied):
            return _refusal(403, str(error) or "The token's owner has no role for this.")
        if isinstance(error, Http404):
            return _refusal(404, str(error) or "There is nothing at this address.")
        return None


def _refusal(status: int, sentence: str) -> JsonResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JsonResponse({"error": sentence}, status=status, headers=headers)
