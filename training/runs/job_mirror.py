"""The worker's side of a job that shares no folder with it: what the job told the site becomes the files that a
shared folder would hold, so that whoever looks after a run reads one and the same directory."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import transaction

from web.files import file_write

from .backends.attempts import attempt_folder
from .claims import LeaseLost, held
from .exit_report import attempt_mark
from .job_token import job_token_new
from .models import JobReport, Run
from .selectors import run_events


def report_open(run: Run, accelerate: str) -> None:
    """The attempt's report, empty but for the tree that the attempt before it left; one that is there stays.

    Raises `LeaseLost`."""
    fresh: dict[str, Any] = {
        "fence": run.fence,
        "secret": job_token_new(),
        "accelerate": accelerate,
        "holder": "",
        "begun": 0,
        "heard_at": None,
        "stop": False,
        "log": "",
        "exit_code": None,
        "failure": None,
        "manifest": None,
    }
    with transaction.atomic():
        if not held(run).select_for_update(no_key=True).exists():
            raise LeaseLost(f"{run} was taken over by another worker.")
        if not report_there(run):
            JobReport.objects.update_or_create(run_id=run.pk, defaults=fresh)


def report_there(run: Run) -> bool:
    """Whether the run's present attempt is told of in this way."""
    return JobReport.objects.filter(run=run.pk, fence=run.fence).exists()


class JobMirror:
    def __init__(self, run: Run) -> None:
        self.run, self.last_seq = run, 0
        self.events = run.directory / "events.jsonl"

    def take(self) -> None:
        """Bring the run directory up to what the job has told, and tell it in turn whether to stop."""
        report = JobReport.objects.filter(run=self.run.pk, fence=self.run.fence).first()
        if report is None:
            return
        stop = (self.run.directory / "cancel").exists()
        if stop != report.stop:
            JobReport.objects.filter(pk=report.pk, fence=report.fence).update(stop=stop)
        attempt = attempt_folder(self.run.directory, self.run.fence)
        _written(attempt / "holder", report.holder)
        _written(attempt / "begun", "begun\n" * report.begun)
        self._events_take()
        self._log_take(report.log)
        _written(self.run.directory / "error.json", _json(report.failure))
        _written(self.run.directory / "manifest.json", _json(report.manifest))
        if report.exit_code is not None:
            _written(attempt / "exit", str(report.exit_code))

    def _events_take(self) -> None:
        new = run_events(self.run.pk, after_seq=self.last_seq)
        lines = "".join(json.dumps(event.to_json()) + "\n" for event in new)
        if not self.last_seq:
            file_write(self.events, lines, durable=False)
        elif new:
            with self.events.open("a") as file:
                file.write(lines)
        self.last_seq = new[-1].seq if new else self.last_seq

    def _log_take(self, log: str) -> None:
        """In place of what stands after the mark of this attempt."""
        path, mark = self.run.directory / "child.log", attempt_mark(self.run)
        content = path.read_bytes() if path.exists() else b""
        before, found, after = content.partition(mark)
        if not found or after != log.encode():
            file_write(path, before + mark + log.encode(), durable=False)


def _json(document: Any) -> str:
    return "" if document is None else json.dumps(document)


def _written(path: Path, content: str) -> None:
    """The file says this; where there is nothing to say it is not there."""
    if not content:
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):
        if path.read_text() == content:
            return
    file_write(path, content, durable=False)
