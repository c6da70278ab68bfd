"""What a pod runs: one attempt of a run, on one node or as the node of an index among several."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from .accelerate import MAIN_PORT
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
from .remote_script import remote_line

NODE_WORDS = (
    '--machine_rank "$JOB_COMPLETION_INDEX" --main_process_ip "$main_address"'
    f" --main_process_port {MAIN_PORT}"
)

_LOG = r"""
exec > >(tee -a {log}) 2>&1 # the pod's log, and the run's
tee=$!
leave() {{
    exec > /dev/null 2>&1
    for _ in $(seq 50); do kill -0 "$tee" 2> /dev/null || break; sleep 0.1; done
    exit "$1"
}}
""".strip()
_SIGNALS = r"""
ended=
trap 'ask "the time of the job is nearly over"' USR1
trap 'ended=yes; ask "the pod is to end"' TERM
""".strip()
# Kubernetes turns two dollar signs of a command into one, so that the usual name of the shell is none here.
_TIMER = r"""
shell=$BASHPID
(sleep {seconds}; kill -USR1 "$shell") > /dev/null 2>&1 &
""".strip()
_NODE = r"""
main_address={first}
for _ in $(seq 300); do getent hosts "$main_address" > /dev/null && break; sleep 1; done
""".strip()
_ENDED = r"""
if [ -n "$ended" ] && [ ! -e "$run/manifest.json" ]; then
    rm -f "$run/pause"
    leave 143 # from outside: no exit code of the program's; it goes on from its checkpoint
fi
""".strip()


def pod_script(
    argv: Sequence[str], resources: Resources, directory: Path, token: int, *, python: str
) -> str:
    """`python` is the image's interpreter, which stands in for the worker's own.

    The program is told to save a checkpoint by SIGTERM, as Kubernetes ends a pod, and shortly before its time
    is over. On several nodes that of index 0 keeps the attempt's records.
    """
    name = job_name(directory, token)
    if resources.files == "site":
        argv = [python, *argv[1:]]
        return remote_line(argv, directory, token, job=name, seconds=_seconds(resources)) + "\n"
    several = resources.nodes > 1
    begin = (
        f'if [ "$JOB_COMPLETION_INDEX" = 0 ]; then\n{_indented(BEGIN)}\nfi' if several else BEGIN
    )
    parts = [
        f"{script_folders(directory, token)}\njob={name}\n{SAY}\n{_log(several)}",
        script_take(token, leave="leave"),
        "\n".join([begin, script_ask(token), _SIGNALS, *_timer(resources)]),
        *([_NODE.format(first=f"{name}-0.{name}")] if several else []),
        script_follow(_program([python, *argv[1:]], several)),
        _ENDED,
        f'{_exit(several)}\nleave "$code"',
    ]
    return "\n\n".join(parts) + "\n"


def _log(several: bool) -> str:
    if not several:
        return _LOG.format(log='"$run/child.log"')
    choose = (
        'log="$attempt/node-$JOB_COMPLETION_INDEX.log"\n'
        '[ "$JOB_COMPLETION_INDEX" = 0 ] && log="$run/child.log"\n'
    )
    return choose + _LOG.format(log='"$log"')


def _exit(several: bool) -> str:
    return f'if [ "$JOB_COMPLETION_INDEX" = 0 ]; then\n{_indented(EXIT)}\nfi' if several else EXIT


def _timer(resources: Resources) -> list[str]:
    """Within the pod, since its time begins when it does; none where it has no end."""
    return [_TIMER.format(seconds=_seconds(resources))] if resources.minutes else []


def _seconds(resources: Resources) -> int:
    """When to ask for a checkpoint; 0 where it has no end."""
    minutes = resources.minutes
    return minutes * 60 - signal_seconds(minutes) if minutes else 0


def _program(argv: Sequence[str], several: bool) -> str:
    line = shlex.join(argv)
    return line.replace(f" {LAUNCHER} ", f" {LAUNCHER} {NODE_WORDS} ", 1) if several else line


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
