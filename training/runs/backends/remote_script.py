"""The script of a job that shares no folder with its worker: one line, which starts `training.remote`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from .job_script import job_name

EVERY_SECONDS = 3.0
"""So often a job tells the site what is new, and hears whether to stop."""


def remote_folder(directory: Path, token: int) -> Path:
    """Where the job has a store of its own, on the machine that it runs on."""
    return Path(settings.OUTERLOOP_JOB_SCRATCH) / job_name(directory, token)


def remote_line(
    argv: Sequence[str], directory: Path, token: int, *, job: str, seconds: int = 0
) -> str:
    """The program's line, with the run directory where the job has it. `job` is a word of bash: the job's id.

    After `seconds` a checkpoint is asked for; 0: whoever ends the job says so in time."""
    store = remote_folder(directory, token)
    there = str(store / "runs" / directory.name)
    words = [
        *(argv[0], "-m", "training.remote", "--site", settings.OUTERLOOP_JOB_SITE),
        *("--run", directory.name, "--attempt", str(token), "--folder", str(store)),
        *("--every", f"{EVERY_SECONDS:g}"),
        *(["--seconds", str(seconds)] if seconds else []),
    ]
    program = shlex.join(word.replace(str(directory), there) for word in argv)
    return f"exec {shlex.join(words)} --job {job} -- {program}"
