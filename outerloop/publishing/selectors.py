"""Reads: the pushes of a model version, and how far one is."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from web.jobs import JobState

from .models import Destination, Push

SHOWN = 20


def pushes_of(version_id: UUID) -> list[Push]:
    """The newest, first."""
    return list(Push.objects.filter(version=version_id)[:SHOWN])


def push_share(push: Push) -> float | None:
    """How much of the model has been sent, 0..1; None before its size is known."""
    return min(push.bytes_done / push.bytes_total, 1.0) if push.bytes_total else None


def push_address(push: Push) -> str:
    """Where a person finds the result; empty where there is none, or no page shows it."""
    if push.state != JobState.DONE:
        return ""
    if push.destination == Destination.HUB:
        return f"{settings.OUTERLOOP_HUB.rstrip('/')}/{push.name}"
    return settings.OUTERLOOP_MLFLOW if settings.OUTERLOOP_MLFLOW.startswith("http") else ""
