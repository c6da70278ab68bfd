"""Celery's door to the queue's housekeeping."""

from __future__ import annotations

from celery import shared_task

from .services import leases_release_expired
from .services.budgets import budgets_tell
from .uses import label_shares_renew


@shared_task(name="comparisons.sweep_leases")
def sweep_leases() -> None:
    """Free the places of leases that ran out, as the queue does whenever it is asked, and tell of campaigns
    that have all their answers."""
    leases_release_expired()
    budgets_tell()


@shared_task(name="comparisons.count_labels")
def count_labels() -> None:
    """Count anew what becomes of the labels of large lines that somebody looks at."""
    label_shares_renew()
