"""Slurm by its own commands: sbatch, squeue, scancel. Each call ends in time, or the scheduler is away.

A job's exit code is what its script left in the run directory: no accounting is needed, and what Slurm
has forgotten is still known.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from django.conf import settings

from training.contracts import JobPhase
from web.files import file_write

from ..launching import child_environment
from .attempts import attempt_begun, attempt_exit, attempt_folder, attempt_holder
from .endings import Endings
from .job_script import job_name
from .protocol import JobRefused, JobStatus, Resources, SchedulerAway, call_seconds
from .slurm_script import script_render

_WAITING = (
    *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED"),
    *("REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
)
_OVER = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
)
_AWAY = (
    *("unable to contact", "timed out", "connect", "communication", "zero bytes", "temporarily"),
    *("backup controller", "authentication", "munge", "in standby", "not responding", "try again"),
)
_UNKNOWN = "invalid job id"
_FORMAT = "%i|%T|%r|%N|%P|%V|%S"


class SlurmBackend:
    title: ClassVar[str] = "Slurm"

    def __init__(self) -> None:
        self.endings = Endings()

    def submit(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        resources: Resources,
        directory: Path,
        token: int,
    ) -> str:
        script = attempt_folder(directory, token) / "script.sh"
        content = script_render(argv, resources, directory, token, base=settings.BASE_DIR)
        file_write(script, content, durable=False)
        done = _run(["sbatch", "--parsable", str(script)], environment)
        if done.returncode:
            if _is_away(done.stderr):
                raise SchedulerAway(_said(done))
            raise JobRefused(
                f"Slurm refused the job: {_said(done)}. Mend `jobs` in the line's plan, or the"
                " installation's OUTERLOOP_JOB_... and OUTERLOOP_SLURM_... variables."
            )
        return done.stdout.strip().splitlines()[-1].split(";")[0]

    def find(self, directory: Path, token: int) -> str:
        holder = attempt_holder(directory, token)
        if holder:
            return holder
        name = job_name(directory, token)
        done = _run(["squeue", "--noheader", "--states=all", f"--name={name}", "--format=%i"])
        if done.returncode:
            raise SchedulerAway(_said(done))
        return done.stdout.split()[0] if done.stdout.split() else ""

    def state(self, job_id: str, directory: Path, token: int) -> JobStatus:
        code = attempt_exit(directory, token)
        if code is not None:
            return JobStatus("ended", code)
        done = _run(
            ["squeue", "--noheader", "--states=all", f"--jobs={job_id}", f"--format={_FORMAT}"]
        )
        if done.returncode and _UNKNOWN not in done.stderr.lower():
            raise SchedulerAway(_said(done))
        line = done.stdout.strip().splitlines()[:1]
        if not line:
            unknown = "Slurm does not know it any more"
            return self.endings.over(job_id, directory, token, unknown)
        said = line[0].split("|")
        if len(said) != len(_FORMAT.split("|")):
            raise SchedulerAway(f"squeue answered {line[0]!r}")
        _, word, reason, nodes, partition, queued, begun = said
        if word in _OVER:
            return self.endings.over(job_id, directory, token, word, nodes)
        self.endings.not_over(job_id)
        if word in _WAITING:
            phase: JobPhase = "preempted" if attempt_begun(directory, token) else "queued"
            return JobStatus(phase, since=_moment(queued), where=partition, reason=_plain(reason))
        return JobStatus("running", since=_moment(begun), where=nodes, reason=_plain(reason))

    def cancel(self, job_id: str) -> None:
        done = _run(["scancel", job_id])
        if done.returncode and _UNKNOWN not in done.stderr.lower():
            raise SchedulerAway(_said(done))

    def logs(self, directory: Path) -> Path:
        return directory / "child.log"


def slurm_partitions() -> list[str]:
    """Names of the partitions; raises `SchedulerAway`."""
    done = _run(["sinfo", "--noheader", "--format=%R"])
    if done.returncode:
        raise SchedulerAway(_said(done))
    return sorted(set(done.stdout.split()))


def slurm_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what Slurm told the worker itself, where that is a job as well."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("SLURM_") or name == "SLURM_CONF"
    }


def _run(
    command: list[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    seconds = call_seconds(settings.OUTERLOOP_SLURM_SECONDS)
    try:
        return subprocess.run(
            command,
            env=slurm_environment(environment or child_environment()),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        missing = f"`{command[0]}` is not on this worker's PATH; install Slurm's commands here"
        raise (
            JobRefused(f"{missing}.") if command[0] == "sbatch" else SchedulerAway(missing)
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SchedulerAway(f"`{command[0]}` said nothing within {seconds:.0f} s") from error


def _is_away(said: str) -> bool:
    return any(words in said.lower() for words in _AWAY)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """The last thing that the command complained of, without its own name."""
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else f"it ended with {done.returncode}"
    return last.split("error: ", 1)[-1].strip().rstrip(".")


def _plain(reason: str) -> str:
    return "" if reason in ("None", "(null)") else reason


def _moment(said: str) -> str:
    """Slurm's local time as ISO 8601 with its zone; empty for N/A."""
    try:
        return datetime.fromisoformat(said).astimezone().isoformat()
    except ValueError:
        return ""
