"""Between a scheduler's word that a job is over and the exit code that the job leaves in the run directory."""

from __future__ import annotations

import time
from pathlib import Path

from .attempts import attempt_exit
from .protocol import JobStatus

EXIT_SECONDS = 15.0
"""So long after a job is said to be over its exit code may still be on its way through a file system."""


class Endings:
    """A job is lost only once its exit code has had time to arrive."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}

    def over(
        self, job_id: str, directory: Path, token: int, reason: str, where: str = ""
    ) -> JobStatus:
        """How a job stands that its scheduler calls over, or does not know any more."""
        since = self.since.setdefault(job_id, time.monotonic())
        if time.monotonic() - since < EXIT_SECONDS:
            return JobStatus("ending", where=where, reason=reason)
        code = attempt_exit(directory, token)  # between the two questions it may have come
        return (
            JobStatus("lost", where=where, reason=reason)
            if code is None
            else JobStatus("ended", code)
        )

    def not_over(self, job_id: str) -> None:
        """The scheduler knows it again: one that is queued anew may end anew."""
        self.since.pop(job_id, None)
