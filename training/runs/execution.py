"""Carrying out a run: claim it, start its program, follow its events, take in what it made.

The program is a process of its own (`accelerate launch -m training.recipes.X SPEC`), so that its crash or
an out-of-memory kill never takes the worker along: a child of this one, or a job that a scheduler runs
elsewhere (see `jobs`). Three things keep two of them apart: the claim (a conditional UPDATE with a lease),
the fencing token in the run directory, and the program's own file lock. A child reads a pipe that this
process holds: when the worker dies, the pipe ends and so does the child.

A program that is killed from outside is started again, from its last checkpoint. A database that is
away for a moment does not disturb it: what it reports is taken in once the database is back.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from training.contracts import EXIT_CANCELLED, EXIT_HELD, JobPlan, RunEvent, RunManifest
from training.digests import DigestError
from web.outages import DATABASE_AWAY, connection_drop, database_retried, first_line
from web.tracing import log_arguments

from .backends import JobRefused, files_by_site, job_order
from .claims import (
    LeaseLost,
    RunBusy,
    directory_prepare,
    fence_raise,
    held,
    run_claim,
    run_heartbeat,
    run_release,
    steps_reached,
)
from .deliveries import (
    FetchStopped,
    inputs_hold,
    inputs_release,
    inputs_send,
    results_fetch,
    results_keep,
    run_leave,
)
from .event_ingest import Beat, Tail, events_ingest
from .exit_report import attempt_mark, last_words, manifest_read
from .job_mirror import report_there
from .jobs import RunJob, job_of
from .launching import launch_command
from .models import Run, RunState
from .records import RunRecord, run_record
from .storage import Held, StoreAway, StoreSettings

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
AWAY_SECONDS = 1.0
GRACE_SECONDS = 20.0
# A child killed from outside begins again this often without getting further than before.
RESTARTS = 2


class RunFailed(RuntimeError):
    """The program ended without its result; the message is its own last word."""


class RunCancelled(RuntimeError):
    """The run was cancelled by a person or by its time limit."""


@log_arguments("run_id")
def run_execute(
    *,
    run_id: UUID,
    owner: str,
    beat: Beat | None = None,
    time_limit_seconds: float = 0,
    jobs: JobPlan | None = None,
) -> RunRecord:
    """Execute a run to its end and return its record; a finished run returns at once.

    `beat` is called with every new event and, with None, at every heartbeat; what it raises stops
    a child, unless it only says that the database is away. `jobs` says where the program runs. The time
    limit counts its work, not its wait in a queue. Raises `RunBusy`, `LeaseLost`, `RunFailed`,
    `RunCancelled`, or `ContractError` for `jobs` that ask for what cannot be.
    """
    run = Run.objects.get(pk=run_id)
    if run.state == RunState.SUCCEEDED:
        return run_record(run)
    if run.state == RunState.CANCELLED:
        raise RunCancelled(run.error or "The run was cancelled.")
    order = job_order(run.kind, jobs)
    beat = beat or _no_beat
    run = run_claim(run_id, owner)
    inputs = _inputs_hold(run, beat, elsewhere=files_by_site(order))
    job = job_of(run, order)
    try:
        code = _programs_follow(run, job, beat, time_limit_seconds)
    except JobRefused as refusal:
        job.end()
        raise _failure(run, str(refusal)) from refusal
    except BaseException:  # whoever goes on need not wait until the lease runs out
        with suppress(*DATABASE_AWAY):
            run_release(run)
        raise
    finally:
        inputs_release(inputs)
        with suppress(*DATABASE_AWAY):
            Run.objects.filter(pk=run_id).update(compute_seconds=F("compute_seconds") + job.worked)
    return _finish_retried(run, code, beat)


def _inputs_hold(run: Run, beat: Beat, *, elsewhere: bool) -> list[Held]:
    """What the program reads, on this machine, or in the store; a run for which it cannot be had ends here."""
    try:
        if elsewhere:
            inputs_send(run, beat)
            return []
        return inputs_hold(run, beat)
    except FetchStopped:
        _finish_retried(run, EXIT_CANCELLED, beat)
        raise
    except (DigestError, StoreAway, StoreSettings) as error:
        raise _failure(run, f"An input cannot be fetched: {error}") from error
    except BaseException:
        with suppress(*DATABASE_AWAY):
            run_release(run)
        raise


def _failure(run: Run, said: str) -> RunFailed:
    """Close the run before its program ended by itself; to be raised."""
    database_retried(
        lambda: _close(run, None, RunState.FAILED, said, None),
        seconds=settings.OUTERLOOP_LEASE_SECONDS,
    )
    return RunFailed(said)


def _finish_retried(run: Run, code: int, beat: Beat) -> RunRecord:
    return database_retried(
        lambda: _finish(run, code, beat), seconds=settings.OUTERLOOP_LEASE_SECONDS
    )


def _no_beat(event: RunEvent | None) -> None:
    """A run outside a round has nobody to tell."""


def child_command(run: Run, config: Path | None = None) -> list[str]:
    return launch_command(run.kind, run.directory / "spec.json", token=run.fence, config=config)


def _programs_follow(run: Run, job: RunJob, beat: Beat, limit: float) -> int:
    """Stay with the program, and with another in its place each time that it is killed from outside.

    Each goes on from the last checkpoint. After `RESTARTS` in a row that got no further, the kills
    are no accident (too little memory, say) and the last one's exit code is returned.
    """
    furthest, in_vain = 0, 0
    while True:
        if not job.attached:
            directory_prepare(run)
        code = _program_follow(run, job, beat, limit)
        if not job.again(code):
            return code
        reached = steps_reached(run)
        in_vain = 0 if reached > furthest else in_vain + 1
        if in_vain > RESTARTS:
            job.give_up()
            return code
        furthest = max(furthest, reached)
        logger.warning("run %s: its program was killed; it is started again", run.id)
        fence_raise(run)


def _program_follow(run: Run, job: RunJob, beat: Beat, limit: float) -> int:
    """Start the program, or find it at work, and stay with it; returns its exit code."""
    tail = Tail(run.directory / "events.jsonl")
    tail.seen = set(run.events.values_list("seq", flat=True))
    if not job.attached:
        with (run.directory / "child.log").open("ab") as log:
            log.write(attempt_mark(run))
    job.begin(child_command(run, job.config()))
    try:
        code = _watch(run, job, tail, beat, limit)
    except BaseException:
        job.leave()
        raise
    job.end()
    return code


def _watch(run: Run, job: RunJob, tail: Tail, beat: Beat, limit: float) -> int:
    next_heartbeat, cancelled_at, answered_at = 0.0, 0.0, time.monotonic()
    while True:
        code, now = None, time.monotonic()
        try:
            code = job.poll(beat)
            for event in events_ingest(run, tail):
                beat(event)
            if code is not None:
                return code
            if now >= next_heartbeat:
                beat(None)
                cancelled_at = cancelled_at or _cancel_pass_on(run, job, limit)
                next_heartbeat = now + settings.OUTERLOOP_HEARTBEAT_SECONDS
            answered_at = now
        except DATABASE_AWAY as error:
            if code is not None and now - answered_at > settings.OUTERLOOP_LEASE_SECONDS:
                raise  # what the program made stays; whoever takes the run over finds it
            connection_drop()
            logger.warning("run %s: the database does not answer: %s", run.id, first_line(error))
            time.sleep(AWAY_SECONDS)
        if cancelled_at and (job.waits() or now - cancelled_at > GRACE_SECONDS):
            return EXIT_CANCELLED  # the program is ended by the caller
        time.sleep(POLL_SECONDS)


def _cancel_pass_on(run: Run, job: RunJob, limit: float) -> float:
    """Prolong the lease; where the run is to stop, tell the program. The time of that, or 0."""
    late = bool(limit) and job.worked > limit
    if not (run_heartbeat(run) or late):
        return 0.0
    (run.directory / "cancel").touch()
    logger.info("run %s: cancelled by %s", run.id, "time limit" if late else "a person")
    return time.monotonic()


def _finish(run: Run, code: int, beat: Beat) -> RunRecord:
    if code == 0:
        manifest, problem = _result(run, beat)
        if manifest is not None:
            problem = _keep(run, manifest, beat)
        if manifest is not None and not problem:
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


def _result(run: Run, beat: Beat) -> tuple[RunManifest | None, str]:
    """The manifest of a program that ended well, or why it does not count."""
    if report_there(run):
        try:
            results_fetch(run, beat)
        except (DigestError, StoreAway) as error:
            return None, f"What the program left does not come from the store: {error}"
    return manifest_read(run)


def _keep(run: Run, manifest: RunManifest, beat: Beat) -> str:
    """Bring the results to the store; why that cannot be, in a sentence, or nothing."""
    try:
        results_keep(run, manifest, beat)
    except (DigestError, StoreAway) as error:
        return (
            f"The program finished, but its results did not reach the artifact store: {error} Take the"
            " run up again: it goes on from its last checkpoint."
        )
    return ""


def _close(
    run: Run, code: int | None, state: RunState, error: str, manifest: RunManifest | None
) -> RunRecord:
    changed = held(run).update(
        state=state,
        exit_code=code,
        error=error,
        finished_at=timezone.now(),
        lease_expires_at=None,
        job_fence=run.job_fence,
        manifest=manifest.to_json() if manifest else None,
    )
    if not changed:
        raise LeaseLost(f"{run} was taken over by another worker.")
    run_leave(run, finished=state == RunState.SUCCEEDED)
    return run_record(Run.objects.get(pk=run.pk))
