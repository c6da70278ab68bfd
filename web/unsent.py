"""What a person wrote into a form that was not taken: it is shown again, so that nothing typed is lost.

A form that is sent after the session ended, or from a page of before a sign-in, changes nothing. The page that
says so holds the texts, to be copied; passwords and what a person did not write are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import BadRequest
from django.core.files.uploadhandler import StopUpload
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render, resolve_url
from django.urls import reverse

SHORTEST = 20  # characters from which one word is something that a person wrote
SECRET = ("password", "secret", "token", "csrf")
UNREADABLE = (BadRequest, MultiPartParserError, StopUpload, OSError, ValueError)


@dataclass(frozen=True)
class Unsent:
    """One text and the name of its field, as words."""

    label: str
    text: str
    rows: int


def unsent_texts(request: HttpRequest) -> list[Unsent]:
    """The texts of a form, in the order of its fields; none where the form cannot be read."""
    try:
        posted = list(request.POST.lists())
    except UNREADABLE:
        return []
    return [
        Unsent(name.replace("_", " ").replace("-", " ").capitalize(), text, min(12, rows))
        for name, values in posted
        if not any(word in name.lower() for word in SECRET)
        for text in values
        if _written(text)
        for rows in (2 + text.count("\n") + len(text) // 80,)
    ]


def _written(text: str) -> bool:
    return len(text.strip()) >= SHORTEST or len(text.split()) > 1


def signed_out_forms(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """A form that would lead to the sign-in page, and be forgotten there, is answered by what it held."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.method != "POST" or not _leads_to_sign_in(request, response):
            return response
        return _answer(request, "web/signed_out.html", 401)

    return middleware


def _leads_to_sign_in(request: HttpRequest, response: HttpResponse) -> bool:
    """Not a request by a script, which reloads the page, and not the steps of signing in."""
    login = resolve_url(settings.LOGIN_URL)
    own = request.path.startswith(reverse("account_login").removesuffix("login/"))
    leads = response.status_code == 302 and urlsplit(response["Location"]).path == login
    scripted = "HX-Request" in request.headers or request.content_type == "application/json"
    return leads and not own and not scripted


def form_too_old(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's `CSRF_FAILURE_VIEW`. Texts are shown only to a page of this site: another site's are not ours."""
    return _answer(request, "403_csrf.html", 403, shown=bool(_page(request)))


def _answer(request: HttpRequest, page: str, status: int, *, shown: bool = True) -> HttpResponse:
    back = _page(request) or "/"
    sign_in = f"{resolve_url(settings.LOGIN_URL)}?{urlencode({REDIRECT_FIELD_NAME: back})}"
    texts = unsent_texts(request) if shown else []
    context = {"texts": texts, "back": back, "sign_in": sign_in}
    answer = render(request, page, context, status=status)
    answer["Cache-Control"] = "no-store"
    return answer


def _page(request: HttpRequest) -> str:
    """The page of this site from which the form was sent, or "": an address that only takes forms is no page."""
    parts = urlsplit(request.headers.get("Referer", ""))
    if parts.netloc != request.get_host() or parts.path.startswith("//"):
        return ""
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
