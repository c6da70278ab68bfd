"""What every page needs for its frame: the name, the person's roles, the navigation, the unread notices."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from .access import roles_of
from .registry import NavigationLink, registered
from .selectors import unread_count


def page_frame(request: HttpRequest) -> dict[str, Any]:
    frame: dict[str, Any] = {"site_name": "Outerloop", "roles": set(), "navigation": []}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return frame
    roles = roles_of(user)
    frame["roles"] = roles
    frame["navigation"] = _navigation(request.path, roles)
    frame["unread_notices"] = unread_count(user)
    return frame


def _navigation(path: str, roles: set[str]) -> list[dict[str, Any]]:
    entries = []
    for link in registered(NavigationLink):
        if link.roles & roles:
            url = reverse(link.url_name)
            entries.append({"label": link.label, "url": url, "current": path.startswith(url)})
    return entries
