"""Asking a learning program something in a child: the site itself loads no model."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings

from .launching import child_environment

POLL = 0.2


@dataclass(frozen=True)
class ProgramSaid:
    """`code` is None where the program was ended as it had not after its time; a signal is negative."""

    code: int | None
    output: bytes
    log: bytes


def program_ask(
    module: str,
    words: Sequence[str] = (),
    *,
    given: bytes = b"",
    beat: Callable[[], None],
    seconds: float,
) -> ProgramSaid:
    """`python -m module words` with `given` on its standard input, for so many seconds at most.

    `beat` is called meanwhile, and what it raises ends the program. What is given and said lies in files without
    a name.
    """
    with (
        tempfile.TemporaryFile() as asked,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as log,
    ):
        asked.write(given)
        asked.seek(0)
        program = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=asked,
            stdout=output,
            stderr=log,
            cwd=settings.BASE_DIR,
            env=child_environment(),
        )
        try:
            code = _ended(program, beat, seconds)
        finally:
            if program.poll() is None:
                program.kill()
                program.wait()
        output.seek(0)
        log.seek(0)
        return ProgramSaid(code, output.read(), log.read())


def _ended(
    program: subprocess.Popen[bytes], beat: Callable[[], None], seconds: float
) -> int | None:
    until = time.monotonic() + seconds
    while (code := program.poll()) is None and time.monotonic() < until:
        beat()
        time.sleep(POLL)
    return code
