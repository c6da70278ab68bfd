"""Real workers on the test database: their process, their messages, and the programs that they start."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import connection
from kombu import Connection

from outerloop.processes.lines import worker_line
from outerloop.rounds import tasks
from tests.support.fake_runs import alive, database_url, product_environment


class Worker:
    """The command line that `manage.py up` starts, as a process of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.log = folder / "worker.log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                worker_line("worker", "default,files,gpu,webhooks").command,
                cwd=settings.BASE_DIR,
                env=product_environment(folder / "var", **environment),
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """SIGKILL: no farewell."""
        self.process.kill()
        self.process.wait()


@contextmanager
def database_broker() -> Iterator[Connection]:
    """The broker in the test database that such workers listen to; its tables go at the end."""
    url = "sqla+" + database_url().replace("://", "+psycopg://", 1)
    with Connection(url) as broker:
        channel = broker.default_channel
        try:
            yield broker
        finally:
            channel.close()
            for engine, _ in channel._engines.values():  # kombu keeps them for ever
                engine.dispose()
            channel._engines.clear()
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS kombu_message, kombu_queue CASCADE")


def sweep_send(broker: Connection) -> None:
    """What beat sends every ten seconds."""
    tasks.sweep.apply_async(queue="default", connection=broker)


class ProgramWatch:
    """Looks a few times a second which processes carry out the run of a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seen: list[set[int]] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.thread.join()

    @property
    def most_at_once(self) -> int:
        return max(map(len, self.seen), default=0)

    @property
    def all(self) -> set[int]:
        return set().union(*self.seen)

    def _look(self) -> None:
        while not self.ended.wait(0.1):
            self.seen.append(programs_of(self.directory))


def programs_of(directory: Path) -> set[int]:
    """Processes that carry out this run, without the launcher that started them."""
    spec = str(directory / "spec.json")
    return _programs(lambda word: word == spec)


def _programs(names: Callable[[str], bool]) -> set[int]:
    """Processes with such a word in their command line."""
    commands = {
        int(entry.name): _command(entry)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
    }
    return {
        pid
        for pid, words in commands.items()
        if any(map(names, words)) and not any("accelerate" in word for word in words) and alive(pid)
    }


def _command(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


def run_messages(sent: list[tuple[str, str]], limit: int = 20) -> list[str]:
    """Be the workers of messages that a test kept; returns the queues that they came from."""
    queues: list[Any] = []
    while sent and len(queues) < limit:
        round_id, queue = sent.pop(0)
        queues.append(queue)
        tasks.advance(round_id)
    return queues


def programs_below(artifacts: Path) -> set[int]:
    """Learning programs that carry out any run of this store, without their launchers."""
    specs = str(artifacts / "runs")
    return _programs(lambda word: word.startswith(specs) and word.endswith("/spec.json"))


def kill_programs(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
