"""Carrying out a run: claim it, start its program, follow its events, take in what it made.

The program is a child process (`accelerate launch -m training.recipes.X SPEC`), so that its crash or
an out-of-memory kill never takes the worker along. Three things keep two children apart: the claim
(a conditional UPDATE with a lease), the fencing token in the run directory, and the child's own file
lock. The child reads a pipe that this process holds: when the worker dies, the pipe ends and so does
the child.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from outerloop.web.tracing import log_arguments
from training.contracts import RECIPE_MODULES, ContractError, RunEvent, RunManifest, canonical_json
from training.digests import DigestError, artifact_verify

from .models import Run, RunEventRow, RunState
from .records import RunRecord, run_record

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
GRACE_SECONDS = 20.0
EXIT_HELD, EXIT_CANCELLED = 75, 130


class RunBusy(RuntimeError):
    """Another worker holds the run and its lease has not run out."""


class LeaseLost(RuntimeError):
    """Another worker took the run over; this one's child was ended and its word does not count."""


class RunFailed(RuntimeError):
    """The program ended without its result; the message is its own last word."""


class RunCancelled(RuntimeError):
    """The run was cancelled by a person or by its time limit."""


@dataclass
class _Tail:
    """How far the events file has been read."""

    path: Path
    offset: int = 0
    rest: bytes = b""
    seen: set[int] = field(default_factory=set)


Beat = Callable[[RunEvent | None], None]


@log_arguments("run_id")
def run_execute(
    *, run_id: UUID, owner: str, beat: Beat | None = None, time_limit_seconds: float = 0
) -> RunRecord:
    """Execute a run to its end and return its record; a finished run returns at once.

    `beat` is called with every new event and, with None, at every heartbeat; what it raises stops
    the child. Raises `RunBusy`, `LeaseLost`, `RunFailed` or `RunCancelled`.
    """
    run = Run.objects.get(pk=run_id)
    if run.state == RunState.SUCCEEDED:
        return run_record(run)
    if run.state == RunState.CANCELLED:
        raise RunCancelled(run.error or "The run was cancelled.")
    run = _claim(run_id, owner)
    _directory_prepare(run)
    started = time.monotonic()
    try:
        code = _child_follow(run, beat or _no_beat, time_limit_seconds)
    except BaseException:  # whoever goes on need not wait until the lease runs out
        _release(run)
        raise
    finally:
        Run.objects.filter(pk=run_id).update(
            compute_seconds=F("compute_seconds") + time.monotonic() - started
        )
    return _finish(run, code)


def _no_beat(event: RunEvent | None) -> None:
    """A run outside a round has nobody to tell."""


def _claim(run_id: UUID, owner: str) -> Run:
    """Take the run if it waits, failed, or lost its worker: one conditional UPDATE decides."""
    now = timezone.now()
    free = Q(state__in=[RunState.PENDING, RunState.FAILED]) | Q(
        state=RunState.RUNNING, lease_expires_at__lt=now
    )
    claimed = Run.objects.filter(free, pk=run_id).update(
        state=RunState.RUNNING,
        fence=F("fence") + 1,
        lease_owner=owner,
        lease_expires_at=now + timedelta(seconds=settings.OUTERLOOP_LEASE_SECONDS),
        error="",
        finished_at=None,
    )
    run = Run.objects.get(pk=run_id)
    if not claimed:
        raise RunBusy(f"{run} is held by {run.lease_owner} until {run.lease_expires_at}.")
    if run.started_at is None:
        Run.objects.filter(pk=run_id).update(started_at=now)
    return run


def _release(run: Run) -> None:
    """Give the run back unfinished; without effect where another worker has it by now."""
    Run.objects.filter(pk=run.pk, fence=run.fence, state=RunState.RUNNING).update(
        state=RunState.PENDING, lease_expires_at=None
    )


def _directory_prepare(run: Run) -> None:
    run.directory.mkdir(parents=True, exist_ok=True)
    _write_atomically(run.directory / "spec.json", canonical_json(run.spec))
    _write_atomically(run.directory / "fence", str(run.fence))
    for leftover in ("cancel", "error.json"):
        (run.directory / leftover).unlink(missing_ok=True)


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


def child_command(run: Run) -> list[str]:
    """The line that a person could type as well."""
    config = settings.OUTERLOOP_ACCELERATE_CONFIG
    how = (
        ["--config_file", config]
        if config
        else ["--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
        + ([] if _has_gpu() else ["--cpu"])
    )  # fmt: skip
    spec = str(run.directory / "spec.json")
    launch = [sys.executable, "-m", "accelerate.commands.launch", *how]
    return [*launch, "-m", RECIPE_MODULES[run.kind], spec, "--token", str(run.fence)]


def _has_gpu() -> bool:
    """Without torch: the driver's device file is there."""
    return Path("/dev/nvidia0").exists()


def _child_start(run: Run, log: IO[bytes]) -> subprocess.Popen[bytes]:
    # Waiting threads that spin cost a shared machine most of its time; a setting of your own wins.
    defaults = {"OMP_WAIT_POLICY": "PASSIVE"}
    forced = {"OUTERLOOP_LIFELINE": "stdin", "TOKENIZERS_PARALLELISM": "false"}
    environment = {**defaults, **os.environ, **forced}
    return subprocess.Popen(
        child_command(run),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=settings.BASE_DIR,
        env=environment,
        start_new_session=True,
    )


def _child_follow(run: Run, beat: Beat, time_limit_seconds: float) -> int:
    """Start the child and stay with it; returns its exit code."""
    deadline = time.monotonic() + time_limit_seconds if time_limit_seconds else None
    tail = _Tail(run.directory / "events.jsonl")
    tail.seen = set(run.events.values_list("seq", flat=True))
    with (run.directory / "child.log").open("ab") as log:
        log.write(_attempt_mark(run))
        log.flush()
        child = _child_start(run, log)
        try:
            return _watch(run, child, tail, beat, deadline)
        finally:
            _child_end(child)


def _watch(
    run: Run, child: subprocess.Popen[bytes], tail: _Tail, beat: Beat, deadline: float | None
) -> int:
    next_heartbeat, cancelled_at = 0.0, 0.0
    while True:
        code = child.poll()
        for event in _events_ingest(run, tail):
            beat(event)
        if code is not None:
            return code
        now = time.monotonic()
        if now >= next_heartbeat:
            beat(None)
            asked = _heartbeat(run) or (deadline is not None and now > deadline)
            if asked and not cancelled_at:
                cancelled_at = now
                (run.directory / "cancel").touch()
                reason = "time limit" if deadline is not None and now > deadline else "a person"
                logger.info("run %s: cancelled by %s", run.id, reason)
            next_heartbeat = now + settings.OUTERLOOP_HEARTBEAT_SECONDS
        if cancelled_at and now - cancelled_at > GRACE_SECONDS:
            return EXIT_CANCELLED  # the child is ended by the caller
        time.sleep(POLL_SECONDS)


def _heartbeat(run: Run) -> bool:
    """Prolong the lease; True when somebody asked to cancel. Raises `LeaseLost`."""
    kept = Run.objects.filter(pk=run.pk, fence=run.fence, state=RunState.RUNNING).update(
        lease_expires_at=timezone.now() + timedelta(seconds=settings.OUTERLOOP_LEASE_SECONDS)
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


def _events_ingest(run: Run, tail: _Tail) -> list[RunEvent]:
    """Read the complete new lines of the events file and keep them; a repeated seq adds nothing."""
    if not tail.path.exists():
        return []
    with tail.path.open("rb") as file:
        file.seek(tail.offset)
        data = tail.rest + file.read()
        tail.offset = file.tell()
    *lines, tail.rest = data.split(b"\n")
    events = []
    for line in lines:
        try:
            event = RunEvent.from_json(json.loads(line))
        except (ValueError, ContractError):
            logger.warning("run %s: an events line could not be read: %.200r", run.id, line)
            continue
        if event.seq not in tail.seen:
            tail.seen.add(event.seq)
            events.append(event)
    RunEventRow.objects.bulk_create(
        [
            RunEventRow(
                run=run,
                seq=event.seq,
                at=event.at,
                phase=event.phase,
                step=event.step,
                total_steps=event.total_steps,
                metrics=event.metrics,
                message=event.message,
            )
            for event in events
        ],
        ignore_conflicts=True,
    )
    return events


def _finish(run: Run, code: int) -> RunRecord:
    if code == 0:
        manifest, problem = _manifest_read(run)
        if manifest is not None:
            return _close(run, code, RunState.SUCCEEDED, "", manifest)
        _close(run, code, RunState.FAILED, problem, None)
        raise RunFailed(problem)
    code, said = _last_words(run, code)
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


def _manifest_read(run: Run) -> tuple[RunManifest | None, str]:
    """The manifest, every artifact checked against its hash; or the reason why it does not count."""
    try:
        manifest = RunManifest.from_json(json.loads((run.directory / "manifest.json").read_text()))
        if manifest.spec_sha256 != run.spec_sha256:
            return None, f"{run.directory}/manifest.json answers another spec than the one ordered."
        for artifact in manifest.artifacts:
            artifact_verify(run.directory / artifact.path, artifact.sha256)
    except FileNotFoundError:
        return None, "The program ended well but left no manifest.json."
    except (ValueError, ContractError, DigestError) as error:
        return None, f"What the program left does not verify: {error}"
    return manifest, ""


def _last_words(run: Run, code: int) -> tuple[int, str]:
    """The program's own exit code and sentence; the launcher hides both behind a 1."""
    try:
        document = json.loads((run.directory / "error.json").read_text())
        return int(document["exit_code"]), str(document["message"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if _held_in_log(run):
        return EXIT_HELD, ""
    return code, (
        "The program was ended from outside (out of memory, or killed) before it could say why; see"
        " its log. Take the round up again: it goes on from the last checkpoint."
    )


def _held_in_log(run: Run) -> bool:
    """A child that may not write says so on its standard error only."""
    path = run.directory / "child.log"
    if not path.exists():
        return False
    last_attempt = path.read_bytes().rsplit(_attempt_mark(run), 1)[-1]
    return b"is held by another running program" in last_attempt


def _attempt_mark(run: Run) -> bytes:
    return f"--- attempt {run.fence} ---\n".encode()


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
