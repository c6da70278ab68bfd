"""The token of a job: drawn for one attempt of one run, and good for nothing once that is over.

Whether the attempt is over says the run's row; the next attempt has another token.
"""

from __future__ import annotations

import secrets
from uuid import UUID

from django.utils.crypto import constant_time_compare

from .models import JobReport

JOB_TOKEN = "OUTERLOOP_JOB_TOKEN"  # noqa: S105 - the variable that jobs find it in
BYTES = 32


def job_token_new() -> str:
    return secrets.token_urlsafe(BYTES)


def job_token(run_id: UUID | str, attempt: int) -> str:
    """The token of an attempt that has a report."""
    return JobReport.objects.get(run=UUID(str(run_id)), fence=attempt).secret


def job_token_opens(token: str, run_id: UUID, attempt: int) -> bool:
    report = JobReport.objects.filter(run=run_id, fence=attempt).first()
    return report is not None and constant_time_compare(token, report.secret)
