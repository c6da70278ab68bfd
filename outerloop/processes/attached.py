"""`manage.py up` as the child of a program that needs its processes, as the demo does.

Whatever runs for this installation already is shared; the rest is started, and ended with the program.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import IO, Self

from django.conf import settings

ENDING_SECONDS = 30


class AttachedProcesses:
    """`log` takes in what the processes print, `say` the supervisor's own sentences."""

    def __init__(self, options: Sequence[str], *, log: Path, say: Callable[[str], None]) -> None:
        self.log, self.say, self.last_words = log, say, ""
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--attached", *options],
                cwd=settings.BASE_DIR,
                stdin=subprocess.PIPE,  # it ends with us, however we end
                stdout=output,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        self.reader = Thread(target=self._read, args=[self.child.stderr], daemon=True)
        self.reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def _read(self, sentences: IO[str]) -> None:
        for line in sentences:
            self.last_words = line.strip() or self.last_words
            self.say(line.rstrip())

    def failure(self) -> str:
        """Why there is nobody any more who works; empty while the processes run."""
        if self.child.poll() is None:
            return ""
        self.reader.join(1.0)
        return (
            f"The processes have ended (exit code {self.child.returncode}): {self.last_words}"
            f" {self.log} has what they printed."
        )


def ended_with_standard_input() -> None:
    """The other side: end this program once whoever started it is gone. For a thread of its own."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
