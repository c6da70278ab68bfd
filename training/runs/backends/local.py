"""The worker's own child: it ends with its worker, whose end of a pipe it watches."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from django.conf import settings

from .protocol import JobStatus, Resources


class LocalBackend:
    """Children by their process id. What the worker itself printed into the log stands before their words."""

    title: ClassVar[str] = "the worker itself"

    def __init__(self) -> None:
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def submit(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        resources: Resources,
        directory: Path,
        token: int,
    ) -> str:
        with self.logs(directory).open("ab") as log:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=settings.BASE_DIR,
                env={**environment, "OUTERLOOP_LIFELINE": "stdin"},
                start_new_session=True,
            )
        self.children[str(child.pid)] = child
        return str(child.pid)

    def find(self, directory: Path, token: int) -> str:
        """None is ever left: a child that this worker does not know has ended with its own."""
        return ""

    def state(self, job_id: str, directory: Path, token: int) -> JobStatus:
        code = self.children[job_id].poll()
        return JobStatus("running") if code is None else JobStatus("ended", code)

    def cancel(self, job_id: str) -> None:
        """End the child's whole process group: gently, then for certain."""
        child = self.children.pop(job_id)
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

    def logs(self, directory: Path) -> Path:
        return directory / "child.log"
