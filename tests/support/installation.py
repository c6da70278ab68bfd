"""An installation of a test's own: the product's processes on one database, to be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from outerloop.processes.lines import beat_line, site_line, worker_line
from tests.support.postgres import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
FAKES = "tests.support.fake_celery"


class Installation:
    """Site, one worker for every queue, and beat, on `database_url` and `broker_url`, below `folder`.

    With `fakes` the workers' programs learn nothing (see `tests.support.fake_celery`).
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        broker_url: str = "",
        fakes: bool = True,
        **more: str,
    ) -> None:
        self.folder, self.fakes, self.port = folder, fakes, free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": broker_url,
            "DJANGO_SETTINGS_MODULE": "outerloop.settings.dev",
            "OUTERLOOP_VAR": str(folder / "var"),
            "OUTERLOOP_ARTIFACTS": str(folder / "artifacts"),
            "OUTERLOOP_LEASE_SECONDS": "5",
            "OUTERLOOP_HEARTBEAT_SECONDS": "1",
            "OMP_NUM_THREADS": "1",
            **more,
        }
        (folder / "var").mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def command(self, name: str) -> Sequence[str]:
        """The line that `manage.py up` runs, of the fakes' application where these are wanted."""
        if name == "site":
            return site_line("127.0.0.1", self.port).command
        if name == "beat":
            return beat_line().command
        line = worker_line(name, "default,files,gpu").command
        return [FAKES if word == "outerloop" and self.fakes else word for word in line]

    def start(self, *names: str) -> None:
        for name in names:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    self.command(name), cwd=CHECKOUT, env=self.environment, stdin=subprocess.DEVNULL,
                    stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip

    def manage(self, *arguments: str) -> None:
        """A command of manage.py, carried out in this installation."""
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=CHECKOUT, env=self.environment, check=True)

    def kill(self, name: str) -> None:
        """SIGKILL to the process alone: what it had started has to notice."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def revive(self) -> list[str]:
        """Start again what ended by itself, as a supervisor does; the names of it."""
        dead = [name for name, process in self.processes.items() if process.poll() is not None]
        self.start(*dead)
        return dead

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""
