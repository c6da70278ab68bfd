"""How a script carries out one attempt of a run, wherever a scheduler starts it.

Each part is text of bash. `run`, `attempt` and `job` are its variables: the two folders, and the id of the
job. What it leaves is read by `attempts`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from .attempts import attempt_folder

LAUNCHER = "accelerate.commands.launch"

SIGNAL_SECONDS = 120
"""So long before its time is over a job is told, so that it saves a checkpoint."""

_TAKE = r"""
if [ "$(cat "$run/fence")" != {token} ]; then
    say "attempt {token} of this run was cancelled or replaced; job $job does nothing"
    {leave} 75
fi
# The first job that begins carries out the attempt; it may be queued again, another may not.
( set -o noclobber; echo "$job" > "$attempt/holder" ) 2> /dev/null
if [ "$(cat "$attempt/holder")" != "$job" ]; then
    say "attempt {token} belongs to job $(cat "$attempt/holder"); job $job does nothing"
    {leave} 75
fi
"""
BEGIN = r"""
rm -f "$attempt/exit" "$run/pause" "$run/error.json"
echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $job $(hostname)" >> "$attempt/begun"
""".strip()
_ASK = r"""
ask() {{
    say "$1; a checkpoint is asked for"
    [ "$(cat "$run/fence")" = {token} ] && touch "$run/pause"
}}
""".strip()
_FOLLOW = r"""
{program} &
program=$!
while true; do
    wait "$program"
    kill -0 "$program" 2> /dev/null || break # else a signal ended the wait alone
done
wait "$program"
code=$?
""".strip()
EXIT = r"""
rm -f "$run/pause"
echo "$code" > "$attempt/exit.partial" && mv "$attempt/exit.partial" "$attempt/exit"
""".strip()
SAY = r"""say() { printf 'outerloop: %s\n' "$*"; }"""


def job_name(directory: Path, token: int) -> str:
    """One name for each attempt of each run, by which a job is found whose id was never heard."""
    return f"outerloop-{directory.name}-{token}"


def script_folders(directory: Path, token: int) -> str:
    run, attempt = shlex.quote(str(directory)), shlex.quote(str(attempt_folder(directory, token)))
    return f"run={run}\nattempt={attempt}"


def script_take(token: int, *, leave: str = "exit") -> str:
    """Begin only where the run directory says that the attempt is still this job's; else `leave` with 75."""
    return _TAKE.format(token=token, leave=leave).strip()


def script_ask(token: int) -> str:
    """The function `ask WHY`: have the program save a checkpoint and end."""
    return _ASK.format(token=token)


def script_follow(program: str) -> str:
    """Run the program to its end, whatever signals come meanwhile; `code` is its exit code."""
    return _FOLLOW.format(program=program)


def signal_seconds(minutes: int) -> int:
    """A quarter of a short time at most."""
    quarter = minutes * 60 // 4
    return min(SIGNAL_SECONDS, quarter) if quarter else SIGNAL_SECONDS
