"""Celery's door to the queue's housekeeping."""

from __future__ import annotations

from celery import shared_task

from .services import leases_release_expired


@shared_task(name="comparisons.sweep_leases")
def sweep_leases() -> None:
    """Free the places of leases that ran out; the queue does so as well whenever it is asked."""
    leases_release_expired()
