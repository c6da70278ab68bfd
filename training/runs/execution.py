"""Carrying out a run: claim it, start its program, follow its events, take in what it made.

The program is a child process (`accelerate launch -m training.recipes.X SPEC`), so that its crash or
an out-of-memory kill never takes the worker along. Three things keep two children apart: the claim
(a conditional UPDATE with a lease), the fencing token in the run directory, and the child's own file
lock. The child reads a pipe that this process holds: when the worker dies, the pipe ends and so does
the child.

A child that is killed from outside is started again, from its last checkpoint. A database that is
away for a moment does not disturb it: what it reports is taken in once the database is back.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import IO
from uuid import UUID

from django.conf import settings
from django.db.models import Expression, F, Q
from django.utils import timezone

from training.contracts import EXIT_CANCELLED, EXIT_HELD, RunEvent, RunManifest, canonical_json
from web.clock import Now, from_now
from web.files import file_write
from web.outages import DATABASE_AWAY, connection_drop, database_retried, first_line
from web.tracing import log_arguments

from .event_ingest import Tail, events_ingest
from .exit_report import attempt_mark, killed, last_words, manifest_read
from .launching import launch_command, launch_environment
from .models import Run, RunState
from .records import RunRecord, run_record

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
AWAY_SECONDS = 1.0
GRACE_SECONDS = 20.0
# A child killed from outside begins again this often without getting further than before.
RESTARTS = 2


class RunBusy(RuntimeError):
    """Another worker holds the run and its lease has not run out."""


class LeaseLost(RuntimeError):
    """Another worker took the run over; this one's child was ended and its word does not count."""


class RunFailed(RuntimeError):
    """The program ended without its result; the message is its own last word."""


class RunCancelled(RuntimeError):
    """The run was cancelled by a person or by its time limit."""


Beat = Callable[[RunEvent | None], None]


@log_arguments("run_id")
def run_execute(
    *, run_id: UUID, owner: str, beat: Beat | None = None, time_limit_seconds: float = 0
) -> RunRecord:
    """Execute a run to its end and return its record; a finished run returns at once.

    `beat` is called with every new event and, with None, at every heartbeat; what it raises stops
    the child, unless it only says that the database is away. Raises `RunBusy`, `LeaseLost`,
    `RunFailed` or `RunCancelled`.
    """
    run = Run.objects.get(pk=run_id)
    if run.state == RunState.SUCCEEDED:
        return run_record(run)
    if run.state == RunState.CANCELLED:
        raise RunCancelled(run.error or "The run was cancelled.")
    run = _claim(run_id, owner)
    started = time.monotonic()
    deadline = started + time_limit_seconds if time_limit_seconds else None
    try:
        code = _children_follow(run, beat or _no_beat, deadline)
    except BaseException:  # whoever goes on need not wait until the lease runs out
        with suppress(*DATABASE_AWAY):
            _release(run)
        raise
    finally:
        with suppress(*DATABASE_AWAY):
            Run.objects.filter(pk=run_id).update(
                compute_seconds=F("compute_seconds") + time.monotonic() - started
            )
    return database_retried(lambda: _finish(run, code), seconds=settings.OUTERLOOP_LEASE_SECONDS)


def _no_beat(event: RunEvent | None) -> None:
    """A run outside a round has nobody to tell."""


def _claim(run_id: UUID, owner: str) -> Run:
    """Take the run if it waits, failed, or lost its worker: one conditional UPDATE decides."""
    free = Q(state__in=[RunState.PENDING, RunState.FAILED]) | Q(
        state=RunState.RUNNING, lease_expires_at__lt=Now()
    )
    claimed = Run.objects.filter(free, pk=run_id).update(
        state=RunState.RUNNING,
        fence=F("fence") + 1,
        lease_owner=owner,
        lease_expires_at=_lease_end(),
        error="",
        finished_at=None,
    )
    run = Run.objects.get(pk=run_id)
    if not claimed:
        raise RunBusy(f"{run} is held by {run.lease_owner} until {run.lease_expires_at}.")
    if run.started_at is None:
        Run.objects.filter(pk=run_id).update(started_at=Now())
    return run


def _lease_end() -> Expression:
    return from_now(timedelta(seconds=settings.OUTERLOOP_LEASE_SECONDS))


def _release(run: Run) -> None:
    """Give the run back unfinished; without effect where another worker has it by now."""
    Run.objects.filter(pk=run.pk, fence=run.fence, state=RunState.RUNNING).update(
        state=RunState.PENDING, lease_expires_at=None
    )


def _directory_prepare(run: Run) -> None:
    run.directory.mkdir(parents=True, exist_ok=True)
    file_write(run.directory / "spec.json", canonical_json(run.spec), durable=False)
    file_write(run.directory / "fence", str(run.fence), durable=False)
    for leftover in ("cancel", "error.json"):
        (run.directory / leftover).unlink(missing_ok=True)


def child_command(run: Run) -> list[str]:
    return launch_command(run.kind, run.directory / "spec.json", token=run.fence)


def _child_start(run: Run, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        child_command(run),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=settings.BASE_DIR,
        env=launch_environment(OUTERLOOP_LIFELINE="stdin"),
        start_new_session=True,
    )


def _children_follow(run: Run, beat: Beat, deadline: float | None) -> int:
    """Stay with the child, and with another in its place each time that it is killed from outside.

    Each goes on from the last checkpoint. After `RESTARTS` in a row that got no further, the kills
    are no accident (too little memory, say) and the last one's exit code is returned.
    """
    furthest, in_vain = 0, 0
    while True:
        _directory_prepare(run)
        code = _child_follow(run, beat, deadline)
        if not killed(run, code):
            return code
        reached = _steps_reached(run)
        in_vain = 0 if reached > furthest else in_vain + 1
        if in_vain > RESTARTS:
            return code
        furthest = max(furthest, reached)
        logger.warning("run %s: its program was killed; it is started again", run.id)
        _fence_raise(run)


def _steps_reached(run: Run) -> int:
    """How many different steps the run has reported: a later attempt that repeats one adds nothing."""

    def count() -> int:
        steps = run.events.exclude(phase__in=["start", "resume"]).values("phase", "step")
        return steps.distinct().count()

    return database_retried(count, seconds=settings.OUTERLOOP_LEASE_SECONDS)


def _fence_raise(run: Run) -> None:
    """A number of its own for the next attempt, so that the one before it may write no more."""

    def update() -> int:
        # The higher number: the first try was carried out and only its answer was lost.
        mine = Run.objects.filter(
            pk=run.pk, lease_owner=run.lease_owner, fence__in=[run.fence, run.fence + 1]
        )
        return mine.filter(state=RunState.RUNNING).update(fence=run.fence + 1)

    if not database_retried(update, seconds=settings.OUTERLOOP_LEASE_SECONDS):
        raise LeaseLost(f"{run} was taken over by another worker.")
    run.fence += 1


def _child_follow(run: Run, beat: Beat, deadline: float | None) -> int:
    """Start the child and stay with it; returns its exit code."""
    tail = Tail(run.directory / "events.jsonl")
    tail.seen = set(run.events.values_list("seq", flat=True))
    with (run.directory / "child.log").open("ab") as log:
        log.write(attempt_mark(run))
        log.flush()
        child = _child_start(run, log)
        try:
            return _watch(run, child, tail, beat, deadline)
        finally:
            _child_end(child)


def _watch(
    run: Run, child: subprocess.Popen[bytes], tail: Tail, beat: Beat, deadline: float | None
) -> int:
    next_heartbeat, cancelled_at, answered_at = 0.0, 0.0, time.monotonic()
    while True:
        code, now = child.poll(), time.monotonic()
        try:
            for event in events_ingest(run, tail):
                beat(event)
            if code is not None:
                return code
            if now >= next_heartbeat:
                beat(None)
                cancelled_at = cancelled_at or _cancel_pass_on(run, deadline)
                next_heartbeat = now + settings.OUTERLOOP_HEARTBEAT_SECONDS
            answered_at = now
        except DATABASE_AWAY as error:
            if code is not None and now - answered_at > settings.OUTERLOOP_LEASE_SECONDS:
                raise  # what the child made stays; whoever takes the run over finds it
            connection_drop()
            logger.warning("run %s: the database does not answer: %s", run.id, first_line(error))
            time.sleep(AWAY_SECONDS)
        if cancelled_at and now - cancelled_at > GRACE_SECONDS:
            return EXIT_CANCELLED  # the child is ended by the caller
        time.sleep(POLL_SECONDS)


def _cancel_pass_on(run: Run, deadline: float | None) -> float:
    """Prolong the lease; where the run is to stop, tell the child. The time of that, or 0."""
    late = deadline is not None and time.monotonic() > deadline
    if not (_heartbeat(run) or late):
        return 0.0
    (run.directory / "cancel").touch()
    logger.info("run %s: cancelled by %s", run.id, "time limit" if late else "a person")
    return time.monotonic()


def _heartbeat(run: Run) -> bool:
    """Prolong the lease; True when somebody asked to cancel. Raises `LeaseLost`."""
    kept = Run.objects.filter(pk=run.pk, fence=run.fence, state=RunState.RUNNING).update(
        lease_expires_at=_lease_end()
    )
    if not kept:
        raise LeaseLost(f"{run} was taken over by another worker.")
    return Run.objects.filter(pk=run.pk, cancel_requested_at__isnull=False).exists()


def _child_end(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole process group: gently, then for certain."""
    if child.stdin is not None:
        child.stdin.close()
    for sign, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 30.0)):
        if child.poll() is not None:
            return
        try:
            os.killpg(child.pid, sign)
        except ProcessLookupError:
            return
        try:
            child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue


def _finish(run: Run, code: int) -> RunRecord:
    if code == 0:
        manifest, problem = manifest_read(run)
        if manifest is not None:
            return _close(run, code, RunState.SUCCEEDED, "", manifest)
        _close(run, code, RunState.FAILED, problem, None)
        raise RunFailed(problem)
    code, said = last_words(run, code)
    run.refresh_from_db(fields=["cancel_requested_at"])
    if code == EXIT_CANCELLED or run.cancel_requested_at is not None:
        said = "Cancelled; the last checkpoint is kept."
        _close(run, code, RunState.CANCELLED, said, None)
        raise RunCancelled(said)
    if code == EXIT_HELD:  # the child of an earlier attempt is still ending: try again
        _close(run, code, RunState.PENDING, "", None)
        raise RunBusy("The run directory is still held by the attempt before this one.")
    _close(run, code, RunState.FAILED, said, None)
    raise RunFailed(said)


def _close(
    run: Run, code: int, state: RunState, error: str, manifest: RunManifest | None
) -> RunRecord:
    changed = Run.objects.filter(pk=run.pk, fence=run.fence, state=RunState.RUNNING).update(
        state=state,
        exit_code=code,
        error=error,
        finished_at=timezone.now(),
        lease_expires_at=None,
        manifest=manifest.to_json() if manifest else None,
    )
    if not changed:
        raise LeaseLost(f"{run} was taken over by another worker.")
    return run_record(Run.objects.get(pk=run.pk))
