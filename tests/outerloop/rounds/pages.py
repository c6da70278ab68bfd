"""Addresses and answers of the pages of lines and rounds."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from tests.outerloop.rounds.world import LoopWorld


def url(name: str, world: LoopWorld, number: int | None = None, *more: Any) -> str:
    arguments = [world.line.slug, *([] if number is None else [number]), *more]
    return reverse(f"rounds:{name}", args=arguments)


def text(response: Any) -> str:
    assert response.status_code == 200
    return str(response.content.decode())


def said(response: Any) -> list[str]:
    """What the page that was redirected to tells."""
    return [str(message) for message in response.context["messages"]]
