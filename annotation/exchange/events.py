"""What programs outside are told of imports and exports."""

from __future__ import annotations

from django.urls import reverse

from web.events import Event, event_tell
from web.jobs import JobState
from web.registry import EventKind

from .models import FileJob, ImportJob

KINDS = (
    EventKind("import.finished", "A file was taken in; rows that were not are counted.", 30),
    EventKind("import.failed", "An import ended by an error; its page says which.", 31),
    EventKind("export.finished", "A file of labels is ready to be fetched.", 32),
    EventKind("export.failed", "An export ended by an error; its page says which.", 33),
)
ENDS = {JobState.DONE: "finished", JobState.FAILED: "failed"}


def job_end_tell(job: FileJob) -> None:
    """Counts alone: an error, and the name of a file, may hold what a person wrote. Whoever cancelled a job
    knows of it."""
    if job.state not in ENDS:
        return
    thing = "import" if isinstance(job, ImportJob) else "export"
    counts = {name: value for name, value in job.counts.items() if isinstance(value, int)}
    event_tell(
        Event(
            kind=f"{thing}.{ENDS[JobState(job.state)]}",
            line_id=job.line,
            data={"job": str(job.pk), "rows": job.rows_done, **counts},
            url=reverse(f"exchange:{thing}_job", args=[job.pk]),
        )
    )
