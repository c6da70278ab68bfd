"""API tokens at the door: `Authorization: Bearer TOKEN` in place of a session, where a view takes it.

Who a token stands for is the business of an authentication backend that understands `api_token`; this
module imports no room. The backend leaves the token on the user as `api_token` (its `pk` and `scopes`). A
token opens only views that are marked, and of these the ones in its scopes: everywhere else it is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

PREFIX = "outerloop_"
READ, LABEL, IMPORT, EXPORT = "read", "label", "import", "export"
LINES, CAMPAIGNS, ROUNDS, WEBHOOKS = "lines", "campaigns", "rounds", "webhooks"
SCOPES: Mapping[str, str] = {
    READ: "Read: lines, campaigns, prompts, judgments, rounds, reports, deployments",
    LABEL: "Label: get pairs and answer them as its owner",
    IMPORT: "Import: prompts and files",
    EXPORT: "Export: order exports and fetch them",
    LINES: "Lines: make them, give them their base policy, order the first pairs",
    CAMPAIGNS: "Campaigns: make and change them, and their gold items",
    ROUNDS: "Rounds: start and cancel them",
    WEBHOOKS: "Webhooks: make, change, test and delete them, and read their log",
}
UNKNOWN = "The API token is unknown, revoked or expired: make a new one on the page API tokens."
MISSING = "Send an API token: Authorization: Bearer TOKEN."
ELSEWHERE = "This address takes no API token: sign in with a browser."
NOT_IN_SCOPE = "This API token lacks the scope {}: make one that has it on the page API tokens."

Params = ParamSpec("Params")
ViewT = TypeVar("ViewT", bound=Callable[..., HttpResponseBase])
View = Callable[Concatenate[HttpRequest, Params], HttpResponseBase]


def takes_tokens(scope: str) -> Callable[[ViewT], ViewT]:
    """Mark a view that reads only: besides a session it takes a token of this scope."""

    def mark(view: ViewT) -> ViewT:
        view.takes_tokens = scope  # type: ignore[attr-defined] # a mark on a function, as Django sets them
        return view

    return mark


def reads_tokens_itself(view: ViewT) -> ViewT:
    """Mark a view of the programming interface, which asks for the token and answers in its own shape."""
    view.reads_tokens_itself = True  # type: ignore[attr-defined]
    return view


def token_required(scope: str) -> Callable[[View[Params]], View[Params]]:
    """For a view for programs: a token and nothing else, so that no other site can use a cookie here."""

    def decorate(view: View[Params]) -> View[Params]:
        @csrf_exempt
        @takes_tokens(scope)
        @functools.wraps(view)
        def guarded(
            request: HttpRequest, /, *args: Params.args, **kwargs: Params.kwargs
        ) -> HttpResponseBase:
            if not getattr(request, "by_token", False):
                return _refusal(401, MISSING)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def bearer_secret(request: HttpRequest) -> str:
    """What stands behind `Authorization: Bearer`; "" without it."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


class BearerTokens:
    """Middleware, after the session's and before the CSRF check."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        if scheme.lower() != "bearer" or getattr(view, "reads_tokens_itself", False):
            return None
        secret, scope = bearer_secret(request), getattr(view, "takes_tokens", "")
        if not scope:
            # Another kind of token, such as the one for the metrics, is the view's own business.
            return _refusal(403, ELSEWHERE) if secret.startswith(PREFIX) else None
        user: Any = authenticate(request, api_token=secret)
        if user is None:
            return _refusal(401, UNKNOWN)
        if scope not in user.api_token.scopes:
            return _refusal(403, NOT_IN_SCOPE.format(scope))
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
