"""Celery's doors to imports and exports. A lost message is made good by the sweep."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from web.jobs import jobs_waiting

from . import services
from .models import ExportJob, ImportJob


@shared_task(name="exchange.import_run")
def import_run(job_id: str) -> None:
    services.import_run(job_id=UUID(job_id))


@shared_task(name="exchange.export_run")
def export_run(job_id: str) -> None:
    services.export_run(job_id=UUID(job_id))


@shared_task(name="exchange.sweep")
def sweep() -> None:
    """Take up imports and exports that wait for nobody; claiming makes a second sweep harmless."""
    for model, task in ((ImportJob, import_run), (ExportJob, export_run)):
        for job_id in jobs_waiting(model):
            task.delay(str(job_id))
