"""Celery's door to the measures that quality pages keep."""

from __future__ import annotations

from celery import shared_task

from .kept import quality_measures_renew


@shared_task(name="quality.measure_again")
def measure_again() -> None:
    """Measure anew the quality of large campaigns that somebody looks at."""
    quality_measures_renew()
