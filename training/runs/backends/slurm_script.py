"""The script that `sbatch` is given: what it asks for, and how it carries out one attempt of a run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from .job_script import (
    BEGIN,
    EXIT,
    LAUNCHER,
    SAY,
    job_name,
    script_ask,
    script_folders,
    script_follow,
    script_take,
    signal_seconds,
)
from .protocol import Resources
from .remote_script import remote_folder, remote_line

NODE_WORDS = '--machine_rank "$SLURM_NODEID" --main_process_ip "$main_address" --main_process_port "$main_port"'

_SIGNALS = r"""
trap 'ask "the time of the job is nearly over"' USR1
trap 'exit 143' TERM # ended, preempted or queued again by Slurm: no exit code of the program's
""".strip()
_QUEUED_AGAIN = r"""
further() { [ -n "$(find "$run"/checkpoint* -newer "$attempt/begun" -print -quit 2> /dev/null)" ]; }
if [ -e "$run/pause" ] && [ ! -e "$run/manifest.json" ] && [ ! -e "$run/cancel" ] && further; then
    say "the checkpoint is saved; job $job is queued again"
    rm -f "$run/pause"
    scontrol requeue "$job" && exec sleep 60 # Slurm ends it here; no exit code is left
fi
""".strip()
_NODES = r"""
main_address=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
main_port=$((20000 + SLURM_JOB_ID % 20000))
export main_address main_port
""".strip()


def script_render(
    argv: Sequence[str], resources: Resources, directory: Path, token: int, *, base: Path
) -> str:
    """`base` is the folder in which the program is started; nodes see it and `directory` under one path."""
    head = "\n".join(["#!/bin/bash", *_asked(resources, directory, token, base)])
    if resources.files == "site":
        line = remote_line(argv, directory, token, job='"$SLURM_JOB_ID"')
        return f"{head}\n\n{line}\n"
    parts = [
        head,
        f"{script_folders(directory, token)}\njob=$SLURM_JOB_ID\n{SAY}",
        script_take(token),
        f"{BEGIN}\n{script_ask(token)}\n{_SIGNALS}",
        *([_NODES] if resources.nodes > 1 else []),
        script_follow(_program(argv, resources)),
        _QUEUED_AGAIN,
        f'{EXIT}\nexit "$code"',
    ]
    return "\n\n".join(parts) + "\n"


def _asked(resources: Resources, directory: Path, token: int, base: Path) -> list[str]:
    shared = resources.files == "shared"
    place = directory / "child.log" if shared else Path(f"{remote_folder(directory, token)}.log")
    log = str(place).replace("%", "%%")
    words = [
        f"--job-name={job_name(directory, token)}",
        f"--chdir={base}",
        f"--output={log}",
        "--open-mode=append",
        "--requeue",
        # It may be a minute earlier.
        f"--signal=B:USR1@{signal_seconds(resources.minutes)}",
        f"--nodes={resources.nodes}",
        "--ntasks-per-node=1",
        *([f"--gpus-per-node={resources.gpus}"] if resources.gpus else []),
        *([f"--cpus-per-task={resources.cpus}"] if resources.cpus else []),
        *([f"--mem={resources.memory_gb}G"] if resources.memory_gb else []),
        *([f"--time={resources.minutes}"] if resources.minutes else []),
        *([f"--partition={resources.partition}"] if resources.partition else []),
        *([f"--account={resources.account}"] if resources.account else []),
        *resources.options,
    ]
    return [f"#SBATCH {shlex.quote(word)}" for word in words]


def _program(argv: Sequence[str], resources: Resources) -> str:
    """The program's line; on several nodes the launcher runs on each, told its rank there."""
    line = shlex.join(argv)
    if resources.nodes == 1:
        return line
    line = line.replace(f" {LAUNCHER} ", f" {LAUNCHER} {NODE_WORDS} ", 1)
    # srun does not take over what sbatch was told of them (Slurm 22.05 and later).
    cpus = f" --cpus-per-task={resources.cpus}" if resources.cpus else ""
    return (
        f"srun --ntasks-per-node=1 --kill-on-bad-exit=1{cpus} bash -c {shlex.quote('exec ' + line)}"
    )
