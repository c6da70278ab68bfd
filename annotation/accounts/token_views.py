"""The page of one's own API tokens, for everybody with a role."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from web.access import ADJUDICATOR, ANNOTATOR, STAFF, person, role_required
from web.clock import database_now
from web.paging import page_by_key
from web.services import audit_record

from .forms import TokenForm
from .models import ApiToken
from .tokens import token_issue, token_revoke, tokens_of

EVERY_ROLE = (ANNOTATOR, ADJUDICATOR, *STAFF)


@require_http_methods(["GET", "POST"])
@never_cache
@role_required(*EVERY_ROLE)
def tokens(request: HttpRequest) -> HttpResponse:
    """The person's tokens; a POST makes one and shows its secret this one time."""
    form = TokenForm(request.POST or None, user=person(request))
    added = None
    if request.method == "POST" and form.is_valid():
        token, secret = token_issue(user=person(request), **form.cleaned_data)
        audit_record(
            actor=request.user,
            verb="made API token",
            target=f"token {token.pk}",
            detail={"scopes": token.scopes},
        )
        added = {"token": token, "secret": secret}
        form = TokenForm(user=person(request))
    now = database_now()
    page = page_by_key(
        tokens_of(person(request)), query=request.GET, fields=("-created_at", "-id"), size=50
    )
    rows = [{"token": token, "state": _state(token, now)} for token in page.rows]
    context = {"form": form, "added": added, "page": page, "rows": rows}
    return render(request, "accounts/tokens.html", context)


def _state(token: ApiToken, now: datetime) -> tuple[str, str]:
    if token.revoked_at is not None:
        return "neutral", "Revoked"
    return ("good", "Valid") if token.expires_at > now else ("neutral", "Expired")


@require_POST
@role_required(*EVERY_ROLE)
def token_take(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    token = get_object_or_404(tokens_of(person(request)), pk=token_id)
    if token_revoke(token=token):
        audit_record(actor=request.user, verb="revoked API token", target=f"token {token.pk}")
    messages.success(request, f"The token {token.name} opens nothing any more.")
    return redirect("accounts:tokens")
