"""A scheduler's job as the program of a run: its id, its attempt and how it stands are on the run's row, so that
the next worker goes on with the same job and starts no second one.

Whatever becomes of a job, it may write only while RUN/fence says its attempt.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from training.contracts import (
    EXIT_CANCELLED,
    AttemptError,
    ContractError,
    JobStanding,
    RunEvent,
)
from web.files import file_write

from .backends import (
    Backend,
    JobOrder,
    JobRefused,
    JobStatus,
    SchedulerAway,
    backend_of,
    files_by_site,
)
from .backends.accelerate import accelerate_render
from .backends.attempts import attempt_exit, attempt_folder, attempt_holder
from .claims import LeaseLost, held
from .event_ingest import Beat
from .exit_report import killed
from .job_mirror import JobMirror, report_open, report_there
from .job_token import JOB_TOKEN, job_token
from .launching import child_environment
from .models import Run
from .wording import job_words

logger = logging.getLogger(__name__)

ASK_SECONDS = 10.0
"""So often a scheduler is asked; events and the exit code are read from the run directory meanwhile."""

ENDING_SECONDS = 2.0

TAKE_SECONDS = 1.0
"""So often it is asked what a job without a shared folder has told the site."""


class SchedulerJob:
    def __init__(self, run: Run, order: JobOrder, backend: Backend) -> None:
        self.run, self.order, self.backend = run, order, backend
        self.argv: Sequence[str] = ()
        self.seconds, self.looked_at, self.ask_at = 0.0, time.monotonic(), 0.0
        self.state = JobStatus("running")
        self.sure, self.unsaved = False, False
        self.mirror: JobMirror | None = None
        self.take_at = 0.0
        self.standing = JobStanding.from_json(run.job) if run.job else JobStanding("submitting")

    @property
    def attached(self) -> bool:
        return self.run.job_fence == self.run.fence

    @property
    def worked(self) -> float:
        return self.seconds

    def config(self) -> Path | None:
        """The accelerate configuration of this attempt, written before its job is submitted."""
        path = attempt_folder(self.run.directory, self.run.fence) / "accelerate.yaml"
        if not path.exists():
            file_write(path, accelerate_render(self.order.resources), durable=False)
        return path

    def begin(self, argv: Sequence[str]) -> None:
        """Say on the row that the attempt has a job, before it has: one that is submitted is never lost."""
        self.argv, self.ask_at = argv, 0.0
        if self.attached:
            (self.run.directory / "cancel").unlink(missing_ok=True)
            file_write(self.run.directory / "fence", str(self.run.fence), durable=False)
            self.sure = bool(self.run.job_id)
            self._mirror_set(there=report_there(self.run))
            return
        self.run.job_id, self.run.job_fence = "", self.run.fence
        self._backend_choose()
        self.state, self.sure = JobStatus("queued"), True
        self.standing = JobStanding("submitting", since=_now())
        self._save()
        self._mirror_set(there=False)

    def _mirror_set(self, *, there: bool) -> None:
        """A job without a shared folder is asked by way of the site, as it was submitted or is going to be."""
        wanted = not self.run.job_id and files_by_site(self.order)
        if wanted:
            report_open(self.run, accelerate_render(self.order.resources))
        self.mirror, self.take_at = JobMirror(self.run) if there or wanted else None, 0.0

    def _backend_choose(self) -> None:
        """A job before this one may have been another scheduler's; what the plan says now counts."""
        if self.run.backend != self.order.backend and self.order.backend != "local":
            self.backend, self.run.backend = backend_of(self.order.backend), self.order.backend

    def poll(self, beat: Beat) -> int | None:
        now = time.monotonic()
        if self.state.phase == "running" and self.run.job_id:
            self.seconds += now - self.looked_at
        self.looked_at = now
        if self.unsaved:
            self._save()
        if self.mirror is not None and now >= self.take_at:
            self.mirror.take()
            self.take_at = time.monotonic() + TAKE_SECONDS
        code = attempt_exit(self.run.directory, self.run.fence)
        if code is not None:
            self.state = JobStatus("ended", code)
            if not self.run.job_id:  # it was over before its id was heard
                self._hear(attempt_holder(self.run.directory, self.run.fence))
        elif now >= self.ask_at:
            self._ask(beat)
            pause = ENDING_SECONDS if self.state.phase == "ending" else ASK_SECONDS
            self.ask_at = time.monotonic() + pause
        return self._code() if self.state.over else None

    def _code(self) -> int:
        """A job that is lost counts as killed; one that was to stop has stopped, however it ended."""
        code = -signal.SIGKILL if self.state.code is None else self.state.code
        return EXIT_CANCELLED if code < 0 and self._cancelled() else code

    def _cancelled(self) -> bool:
        return (self.run.directory / "cancel").exists()

    def waits(self) -> bool:
        if self.state.phase == "queued":  # as it was heard last; it may have begun since
            return not attempt_holder(self.run.directory, self.run.fence)
        return self.state.phase == "preempted"

    def again(self, code: int) -> bool:
        if code == 0 or self._cancelled():
            return False
        return code < 0 or killed(self.run, code) or self._paused()

    def give_up(self) -> None:
        raise JobRefused(
            f"The job was ended from outside again and again without getting further"
            f" ({self.state.reason or 'no checkpoint was saved in its time'}). Give it more time or memory:"
            " `jobs` in the line's plan. Its log has the rest."
        )

    def leave(self) -> None:
        """The job goes on; the next worker finds it by what is on the row."""

    def end(self) -> None:
        """Whatever still runs of the attempt may write nothing from here on."""
        file_write(self.run.directory / "fence", "closed", durable=False)
        with suppress(SchedulerAway):  # it stays on the row, and the sweep ends it
            if not self.state.over:
                job_end(self.run, self.backend)
            self.run.job_fence = None

    def _ask(self, beat: Beat) -> None:
        run = self.run
        try:
            if not run.job_id:
                self._submit()
            holder = attempt_holder(run.directory, run.fence)
            if holder and holder != run.job_id:  # it was submitted twice, and this one began
                self._hear(holder)
            self.state = self.backend.state(run.job_id, run.directory, run.fence)
        except SchedulerAway as error:
            logger.warning("run %s: %s does not answer: %s", run.id, self.backend.title, error)
            silent = self.standing.silent_since or _now()
            self._stand(replace(self.standing, silent_since=silent, silence=str(error)), beat)
            return
        heard = self.state
        self._stand(JobStanding(heard.phase, heard.since, heard.where, heard.reason), beat)

    def _submit(self) -> None:
        run = self.run
        if not self.sure:  # the scheduler may have taken it without our hearing so
            found = self.backend.find(run.directory, run.fence)
            if found:
                self._hear(found)
                return
        self.sure = False
        environment = child_environment()
        if self.mirror is not None:
            environment[JOB_TOKEN] = job_token(run.pk, run.fence)
        resources = self.order.resources
        try:
            job = self.backend.submit(self.argv, environment, resources, run.directory, run.fence)
        except JobRefused:
            self.state = JobStatus("lost")  # there is none to come back to
            raise
        self._hear(job)

    def _hear(self, job_id: str) -> None:
        self.run.job_id, self.sure = job_id, True
        self._save()

    def _stand(self, standing: JobStanding, beat: Beat) -> None:
        """Keep a change, and tell of it whoever follows the run."""
        before, self.standing = self.standing, standing
        if standing == before:
            return
        self._save()
        if (standing.phase, standing.silent_since) != (before.phase, before.silent_since):
            logger.info("run %s: job %s is %s", self.run.id, self.run.job_id, standing.phase)
            said = job_words(standing, self.run.job_id, self.backend.title)
            beat(RunEvent(0, _now(), f"job {standing.phase}", 0, 0, message=said))

    def _save(self) -> None:
        run = self.run
        self.unsaved = True
        run.job = self.standing.to_json()
        kept = held(run).update(
            backend=run.backend, job_id=run.job_id, job_fence=run.job_fence, job=run.job
        )
        if not kept:
            raise LeaseLost(f"{run} was taken over by another worker.")
        self.unsaved = False

    def _paused(self) -> bool:
        """The program saved and ended because its time was nearly over."""
        try:
            document = json.loads((self.run.directory / "error.json").read_text())
            return AttemptError.from_json(document).kind == "cancelled"
        except (OSError, ValueError, ContractError):
            return False


def job_end(run: Run, backend: Backend) -> None:
    """Cancel the job of the run's present attempt, if there is one; may raise `SchedulerAway`."""
    job_id = run.job_id or backend.find(run.directory, run.fence)
    if job_id:
        backend.cancel(job_id)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
