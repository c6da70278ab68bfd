"""Keeping the processes of an installation alive: what is killed is started again, the embedded
PostgreSQL included. What another supervisor runs is left to it, and taken over when that one ends.

A process that ends as soon as it was first started has a wrong setting, and one that ends again and
again has a defect: then everything is ended, with its exit code, as a person at the terminal expects.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO, Any

from django.conf import settings

from outerloop.embedded_postgres import EmbeddedPostgresError, server_ensure, server_place

from .lines import ProcessLine
from .sharing import Holder, SharedLock

SETTLED_SECONDS = 10.0
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
LOOK_SECONDS = 0.2
DATABASE_LOOK_SECONDS = 2.0
GRACE_SECONDS = 5.0
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


def database_keep() -> str:
    """Start the embedded server where it has died; what there is to say about it."""
    if not settings.USES_EMBEDDED_POSTGRES or server_place().running:
        return ""
    try:
        server_ensure()
    except EmbeddedPostgresError as error:
        return f"PostgreSQL had died and could not be started: {error}"
    return "PostgreSQL had died and was started again."


@dataclass
class ProcessState:
    """When a process was last started, how often in a row it ended at once, when it starts again."""

    started_at: float
    first: bool = True
    short: int = 0
    again_at: float | None = None

    def ended(self, now: float) -> bool:
        """Plan the next start; False where there shall be none."""
        short = now - self.started_at < SETTLED_SECONDS
        self.short = self.short + 1 if short else 0
        if (short and self.first) or self.short >= len(PAUSES):
            return False
        self.again_at = now + PAUSES[self.short]
        return True

    def begin(self, now: float) -> None:
        self.started_at, self.again_at, self.first = now, None, False


class SupervisedProcess:
    """One process, its lock, and its last words."""

    def __init__(self, line: ProcessLine, address: str, show: Callable[[str, str], None]) -> None:
        self.line, self.address, self.show = line, address, show
        self.lock = SharedLock(line.name)
        self.state = ProcessState(time.monotonic())
        self.process: subprocess.Popen[str] | None = None
        self.reader: Thread | None = None
        self.last_words = ""

    def start(self) -> None:
        """The program in a session of its own: Ctrl-C reaches its supervisor alone."""
        self.process = subprocess.Popen(
            self.line.command,
            cwd=settings.BASE_DIR,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.line.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            pass_fds=[self.lock.descriptor],
        )
        self.lock.say(Holder(self.process.pid, os.getpid(), self.address))
        self.reader = Thread(target=self._read, args=[self.process.stdout], daemon=True)
        self.reader.start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self.last_words = line.strip() or self.last_words
            self.show(self.line.name, line.rstrip())

    def code(self) -> int | None:
        """The exit code of a process that has just ended; its output has been read by then."""
        code = self.process.poll() if self.process is not None else None
        if code is not None and self.reader is not None:
            self.reader.join(1.0)
        return code

    def signal(self, number: int) -> None:
        """To the program alone; a kill to all that it started."""
        if self.process is None or self.process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            send = os.killpg if number == signal.SIGKILL else os.kill
            send(self.process.pid, number)


class ProcessSupervisor:
    """`say` is told in sentences what happens; `show` every line that a process prints."""

    def __init__(
        self,
        lines: Sequence[ProcessLine],
        *,
        say: Say,
        show: Callable[[str, str], None],
        addresses: Mapping[str, str] | None = None,
        database: Callable[[], str] = database_keep,
    ) -> None:
        where = addresses or {}
        self.processes = [SupervisedProcess(p, where.get(p.name, ""), show) for p in lines]
        self.say, self.database = say, database
        self.database_at = time.monotonic() + DATABASE_LOOK_SECONDS
        self.exit_code: int | None = None

    def run(self) -> int:
        """Run until a signal comes, or a process cannot be kept alive; then all are ended."""
        with _signals_handled(self._asked_to_end):
            try:
                self._begin()
                while self.exit_code is None:
                    self._look()
                    time.sleep(LOOK_SECONDS)
            finally:
                self._end()
        return self.exit_code or 0

    def _asked_to_end(self, number: int, frame: Any) -> None:
        self.exit_code = 128 + number

    def _begin(self) -> None:
        elsewhere = [p.line.name for p in self.processes if not self._taken(p)]
        if elsewhere:
            self.say(f"Running elsewhere already, and shared: {', '.join(elsewhere)}.")

    def _taken(self, process: SupervisedProcess) -> bool:
        """Start a process that nobody else runs."""
        if not process.lock.take():
            return False
        process.state = ProcessState(time.monotonic())
        process.start()
        return True

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self.database_at:
            if says := self.database():
                self.say(says)
            self.database_at = time.monotonic() + DATABASE_LOOK_SECONDS
        for process in self.processes:
            if not process.lock.held:
                if self._taken(process):
                    self.say(f"{process.line.name} ended elsewhere and was started here.")
            elif not self._kept(process, now):
                break

    def _kept(self, process: SupervisedProcess, now: float) -> bool:
        """Whether the process runs, or will again."""
        code, state, name = process.code(), process.state, process.line.name
        if code is None:
            return True
        if state.again_at is None:
            how = f"{name} ended ({_exit_words(code)})"
            if not state.ended(now):
                self.say(f"{how} and cannot be kept running: {process.last_words or 'no words'}")
                self.exit_code = code if code > 0 else 128 - code
                return False
            self.say(f"{how}; it is started again.")
        elif now >= state.again_at:
            state.begin(now)
            process.start()
        return True

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                process.signal(number)
            deadline = time.monotonic() + GRACE_SECONDS
            for process in self.processes:
                if process.process is not None:
                    with suppress(subprocess.TimeoutExpired):
                        process.process.wait(max(0.0, deadline - time.monotonic()))
        for process in self.processes:
            process.lock.release()


def _exit_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"


@contextmanager
def _signals_handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
