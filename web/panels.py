"""The parts of the home page and of the navigation that the rooms fill.

The ground floor imports no room, so each room registers its own in `AppConfig.ready`:

    from web import panels

    panels.register(panels.Panel(
        key="annotation.start", roles=frozenset({"annotator"}), order=10,
        template="comparisons/panels/start.html", read=start_panel))
    panels.register_link(panels.Link(
        key="campaigns", label="Campaigns", url_name="campaigns:list",
        roles=frozenset({"engineer", "lead"}), order=30))

`read(request)` returns the template's context, or None when there is nothing to show. Lower orders come
first: 10 what waits for me, 20 what runs, 30 what is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest


@dataclass(frozen=True)
class Panel:
    key: str
    roles: frozenset[str]
    order: int
    template: str
    read: Callable[[HttpRequest], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Link:
    """One entry of the navigation; `url_name` takes no arguments."""

    key: str
    label: str
    url_name: str
    roles: frozenset[str]
    order: int


_panels: dict[str, Panel] = {}
_links: dict[str, Link] = {}


def register(panel: Panel) -> None:
    """Put a panel on the home page; a second one under the same key replaces the first."""
    _panels[panel.key] = panel


def register_link(link: Link) -> None:
    """Put an entry into the navigation; a second one under the same key replaces the first."""
    _links[link.key] = link


def panels_for(roles: set[str]) -> list[Panel]:
    return sorted((p for p in _panels.values() if p.roles & roles), key=lambda p: (p.order, p.key))


def links_for(roles: set[str]) -> list[Link]:
    return sorted((x for x in _links.values() if x.roles & roles), key=lambda x: (x.order, x.key))
