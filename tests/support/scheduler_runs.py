"""Runs that a scheduler carries out, under workers in the test's own process."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tests.support.fake_runs import eventually
from training.contracts import JobPlan
from training.runs.execution import run_execute
from training.runs.models import Run


class WorkerKilled(BaseException):
    """The worker is gone: nothing of its own is put in order."""


def kill_worker_at(run: Run, update: int, *, jobs: JobPlan) -> None:
    """A worker that dies once the run has reported `update`; its lease runs out at once."""

    def beat(event: Any) -> None:
        if event is not None and event.phase == "update" and event.step >= update:
            raise WorkerKilled

    with pytest.raises(WorkerKilled):
        run_execute(run_id=run.id, owner="w", jobs=jobs, beat=beat)
    Run.objects.filter(pk=run.pk).update(state="running", lease_expires_at=timezone.now())


class Worker:
    """A worker beside the test; `outcome` is its record, or what it raised."""

    def __init__(self, run: Run, *, jobs: JobPlan, **options: Any) -> None:
        self.outcome: Any = None
        self.thread = threading.Thread(
            target=self._work, args=(run, {**options, "jobs": jobs}), daemon=True
        )
        self.thread.start()

    def _work(self, run: Run, options: Any) -> None:
        try:
            self.outcome = run_execute(run_id=run.id, owner="w", **options)
        except Exception as error:
            traceback.print_exception(error)  # shown where the test fails
            self.outcome = error
        finally:
            connection.close()

    def join(self) -> Any:
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.outcome


def standing(run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    return run.job or {}


def until(run: Run, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    eventually(lambda: holds(standing(run)))
    return standing(run)
