"""The child's side of the process boundary: what a learning program may do in its run directory.

RUN/spec.json       the frozen order (`RunSpec`), written by whoever starts the program
RUN/events.jsonl    progress (`RunEvent` lines), appended here
RUN/manifest.json   the result (`RunManifest`), written last: where it is, the run is finished
RUN/error.json      {"kind", "message", "exit_code"} of an attempt that failed
RUN/lock            held by flock for as long as the program lives
RUN/fence           the fencing token of the only attempt that may write
RUN/cancel          where it exists, the program saves and ends
RUN/pause           the same, written where the time of a scheduler's job is nearly over

A recipe is started as `accelerate launch -m training.recipes.X RUN/spec.json [--token N]`. The
launcher hides its child's exit code, so `error.json` repeats it. Exit codes: 0 finished, 2 bad
input, 75 the directory is another attempt's, 130 cancelled, 1 anything else (`training.contracts`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from training.contracts import (
    EXIT_CANCELLED,
    EXIT_ERROR,
    EXIT_HELD,
    EXIT_USER,
    ArtifactKind,
    ArtifactRef,
    AttemptError,
    ContractError,
    JsonContract,
    RunEvent,
    RunManifest,
    RunSpec,
)
from training.core.run.alarms import AlarmRaised
from training.core.run.artifacts import Written, directory_write, file_write
from training.core.run.environment import environment_describe, json_finite, peak_memory_mb
from training.core.run.errors import UserError, storage_sentence
from training.core.run.events import EventLog
from training.core.run.run_lock import RunHeld, directory_lock, fence_check
from training.core.run.terminal import TerminalProgress, terminal_open
from training.core.run.trackers import Trackers, trackers_wanted
from training.digests import DigestError, artifact_verify

__all__ = [
    "Run",
    "RunCancelled",
    "RunFinished",
    "RunHeld",
    "lifeline_start",
    "open_run",
    "recipe_main",
]

LIFELINE = "OUTERLOOP_LIFELINE"
TAKEOVER_SECONDS = 10.0

ConfigT = TypeVar("ConfigT", bound=JsonContract)


class RunCancelled(Exception):
    """RUN/cancel asked the program to end."""


class RunFinished(Exception):
    """RUN/manifest.json says that this very order is already carried out."""


@dataclass
class Run(Generic[ConfigT]):
    """An open run directory. Only the main process (rank 0) writes; elsewhere writes do nothing."""

    directory: Path
    spec: RunSpec
    config: ConfigT
    inputs: dict[str, Path]
    token: int | None
    main: bool
    events: EventLog
    terminal: TerminalProgress | None = None
    trackers: Trackers | None = None
    started: float = field(default_factory=time.monotonic)
    finished: bool = False

    def input(self, name: str) -> Path:
        if name not in self.inputs:
            known = ", ".join(sorted(self.inputs)) or "none"
            raise UserError(f"spec.json: the input {name!r} is missing; it has: {known}.")
        return self.inputs[name]

    def emit(
        self,
        phase: str,
        step: int,
        total_steps: int,
        metrics: Mapping[str, float | None] | None = None,
        message: str = "",
    ) -> None:
        """Append one progress event; a metric that is not finite is written as null."""
        if not self.main:
            return
        self.guard()
        event = RunEvent(
            seq=self.events.last_seq + 1,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            phase=phase,
            step=step,
            total_steps=total_steps,
            metrics=json_finite(dict(metrics or {})),
            message=message,
        )
        self.events.append(event)
        if self.terminal is not None:
            self.terminal.show(event)
        if self.trackers is not None:
            self.trackers.show(event)

    def warn(self, phase: str, sentence: str) -> None:
        """An event of its own for what a person should know before they wait; nothing where it is empty."""
        if sentence:
            self.emit(phase, 1, 1, message=sentence)

    def guard(self) -> None:
        """Raise `RunHeld` unless RUN/fence still carries the token of this attempt."""
        if self.token is not None:
            fence_check(self.directory, self.token)

    def cancel_requested(self) -> bool:
        return any((self.directory / name).exists() for name in ("cancel", "pause"))

    def check_cancel(self, save: Callable[[], object] | None = None) -> None:
        """Where RUN/cancel or RUN/pause exists: save, then raise `RunCancelled` (exit code 130)."""
        if self.cancel_requested():
            if save is not None:
                save()
            raise RunCancelled("The run was cancelled; its progress up to here is saved.")

    def write_directory(
        self, name: str, kind: ArtifactKind, write: Callable[[Path], None]
    ) -> ArtifactRef:
        """Write the artifact directory RUN/<name> atomically (main process only)."""
        return self._reference(
            name, kind, directory_write(self.directory / name, write, guard=self.guard)
        )

    def write_file(self, name: str, filename: str, content: bytes) -> ArtifactRef:
        """Write the file artifact RUN/<filename> atomically (main process only)."""
        written = file_write(self.directory / filename, content, guard=self.guard)
        return self._reference(name, "file", written)

    def _reference(self, name: str, kind: ArtifactKind, written: Written) -> ArtifactRef:
        path = written.path.relative_to(self.directory).as_posix()
        return ArtifactRef(
            name=name, kind=kind, path=path, sha256=written.sha256, bytes=written.bytes
        )

    def finish(self, artifacts: Sequence[ArtifactRef], results: Mapping[str, Any]) -> None:
        """Write RUN/manifest.json, after which the run is finished for good."""
        self.finished = True
        if not self.main:
            return
        manifest = RunManifest(
            run_id=self.spec.run_id,
            kind=self.spec.kind,
            spec_sha256=self.spec.sha256(),
            artifacts=tuple(artifacts),
            results=json_finite(dict(results)),
            environment=environment_describe(),
            seconds=round(self.events.earlier_seconds + time.monotonic() - self.started, 3),
            peak_memory_mb=peak_memory_mb(),
        )
        if self.trackers is not None:
            self.trackers.close()
            self.trackers.tell()
        self.emit("finish", 1, 1, message="The artifacts are written.")
        content = json.dumps(manifest.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n"
        file_write(self.directory / "manifest.json", content.encode(), guard=self.guard)


# ------------------------------------------------------------------------ opening


@contextmanager
def open_run(
    spec_path: Path, kind: str, config_class: type[ConfigT], *, token: int | None = None
) -> Iterator[Run[ConfigT]]:
    """Hold the run directory of `spec_path`, and check the order before anything is spent.

    Raises `RunHeld` (lock or fence), `RunFinished`, `UserError`, `ContractError`, `DigestError`.
    """
    directory, main = spec_path.resolve().parent, int(os.environ.get("RANK", "0")) == 0
    if not spec_path.exists():
        raise UserError(f"{spec_path}: there is no such run spec.")
    with directory_lock(directory, wait=0.0 if token is None else TAKEOVER_SECONDS, main=main):
        if token is not None:
            fence_check(directory, token)
        spec, config = _read_order(spec_path, kind, config_class)
        _refuse_finished(directory, spec)
        if main:
            (directory / "error.json").unlink(missing_ok=True)
        inputs = _open_inputs(spec, directory, verify=main)
        with EventLog.open(directory / "events.jsonl", writable=main) as events:
            terminal = terminal_open(wanted=main and token is None)
            run = Run(directory, spec, config, inputs, token, main, events, terminal)
            if main and (wanted := trackers_wanted()):
                run.trackers = Trackers(wanted, spec, directory, partial(run.warn, "trackers"))
            run.emit("start", 1, 1, message="A new attempt." if events.last_seq else "Started.")
            try:
                yield run
            finally:
                if terminal is not None:
                    terminal.close()
                if run.trackers is not None:
                    run.trackers.close()


def _read_order(spec_path: Path, kind: str, config_class: type[ConfigT]) -> tuple[RunSpec, ConfigT]:
    try:
        document = json.loads(spec_path.read_text())
    except ValueError as error:
        raise UserError(f"{spec_path}: not valid JSON ({error}).") from error
    spec = RunSpec.from_json(document)
    if spec.kind != kind:
        raise UserError(
            f"{spec_path}: it orders a {spec.kind!r} run, but this program is {kind!r}; "
            "start the recipe that the spec names."
        )
    return spec, config_class.from_json(spec.config)


def _refuse_finished(directory: Path, spec: RunSpec) -> None:
    path = directory / "manifest.json"
    if not path.exists():
        return
    manifest = RunManifest.from_json(json.loads(path.read_text()))
    if manifest.spec_sha256 != spec.sha256():
        raise UserError(
            f"{path} belongs to another order than spec.json; start this one in an empty directory."
        )
    raise RunFinished(f"{directory}: the run is already finished.")


def _input_path(path: str, directory: Path) -> Path:
    """An input of a run in STORE/runs/RUN_ID lies relative to STORE, wherever that is mounted; another
    relative path is taken from where the program was started."""
    stored = directory.parent.parent / path
    return stored if stored.exists() else Path(path)


def _open_inputs(spec: RunSpec, directory: Path, *, verify: bool) -> dict[str, Path]:
    inputs = {}
    for name, reference in spec.inputs.items():
        path = _input_path(reference.path, directory)
        if verify:
            try:
                artifact_verify(path, reference.sha256)
            except DigestError as error:
                raise UserError(f"The input {name!r} cannot be used: {error}") from error
        inputs[name] = path
    return inputs


# ------------------------------------------------------------------- command line


def recipe_main(
    body: Callable[[Run[ConfigT]], None],
    kind: str,
    config_class: type[ConfigT],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a recipe from its command line; every way to end becomes an exit code and a sentence."""
    parser = argparse.ArgumentParser(description=f"The {kind} recipe of Outerloop.")
    parser.add_argument("spec", type=Path, help="RUN/spec.json")
    parser.add_argument("--token", type=int, help="the fencing token of this attempt")
    arguments = parser.parse_args(argv)
    lifeline_start()
    try:
        with open_run(arguments.spec, kind, config_class, token=arguments.token) as run:
            _carry_out(body, run)
            if not run.finished:
                raise RuntimeError(f"The {kind} recipe ended without writing its manifest.")
        _processes_part()
    except RunFinished as ending:
        print(ending)
    except Exception as error:
        failure = _failure(error, arguments.spec.resolve().parent)
        _failure_report(
            failure, arguments.spec.resolve().parent, launched=arguments.token is not None
        )
        return failure.exit_code
    return 0


def _carry_out(body: Callable[[Run[ConfigT]], None], run: Run[ConfigT]) -> None:
    try:
        body(run)
    except AlarmRaised as raised:
        run.emit(f"alarm {raised.alarm.name}", 1, 1, message=raised.alarm.says)
        raise


def _processes_part() -> None:
    """Leave the process group: its threads, alive at the interpreter's end, abort a process that has done its work.

    Only after success: what failed must not wait for the others.
    """
    from torch import distributed  # here, since what reads run directories need not load torch

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _failure(error: Exception, directory: Path) -> AttemptError:
    if isinstance(error, RunHeld):
        return AttemptError("held", str(error), EXIT_HELD)
    stored = storage_sentence(error, directory)
    if stored is not None:
        return AttemptError("storage", stored, EXIT_USER)
    if isinstance(error, RunCancelled):
        return AttemptError("cancelled", str(error), EXIT_CANCELLED)
    if isinstance(error, UserError | ContractError | DigestError):
        return AttemptError(
            "alarm" if isinstance(error, AlarmRaised) else "user", str(error), EXIT_USER
        )
    traceback.print_exception(error)
    full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return AttemptError(
        "memory" if full else "error", f"{type(error).__name__}: {error}", EXIT_ERROR
    )


def _failure_report(failure: AttemptError, directory: Path, *, launched: bool) -> None:
    """To whoever reads the screen, and to the worker: in error.json, or, where the directory is not
    ours to write in, as a line of the log."""
    print(failure.message, file=sys.stderr, flush=True)
    if failure.kind == "held":
        if launched:
            print(json.dumps(failure.to_json()), file=sys.stderr, flush=True)
    elif directory.is_dir():
        with suppress(OSError):  # on a disk that takes nothing the log alone says why
            file_write(directory / "error.json", json.dumps(failure.to_json()).encode())


def lifeline_start() -> None:
    """With OUTERLOOP_LIFELINE=stdin: end at once when standard input closes.

    The worker holds the other end of the pipe, so a child whose worker was killed ends itself.
    """
    if os.environ.get(LIFELINE) == "stdin":
        threading.Thread(target=_lifeline_watch, name="lifeline", daemon=True).start()


def _lifeline_watch() -> None:
    while os.read(0, 4096):
        pass
    os._exit(EXIT_HELD)
