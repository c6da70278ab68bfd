"""Stand-ins for `sbatch`, `squeue`, `scancel`, `scontrol` and `sinfo`: shell programs steered by files."""

from __future__ import annotations

from pathlib import Path

PROGRAM = r"""#!/bin/bash
# Jobs are files: N.state, N.name, N.script, N.pid. A file `mode-PROGRAM` says how that program misbehaves.
here=$(cd "$(dirname "$0")" && pwd)
me=$(basename "$0")
echo "$me $*" >> "$here/calls"
mode=$(cat "$here/mode-$me" 2> /dev/null)
case "$mode" in
    away) echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1 ;;
    garble) echo "slurm: news of the day"; exit 0 ;;
    hang) exec sleep 60 ;;
    refuse) echo "$me: error: Batch job submission failed: Invalid partition name specified" >&2; exit 1 ;;
esac
unknown() {
    echo "$1 error: Invalid job id specified" >&2
    exit 1
}
begin() {
    script=$(cat "$here/$1.script")
    log=$(sed -n "s/^#SBATCH '\?--output=\([^']*\)'\?$/\1/p" "$script")
    echo RUNNING > "$here/$1.state"
    (
        SLURM_JOB_ID=$1 setsid bash "$script" >> "$log" 2>&1 < /dev/null &
        mine=$!
        echo $mine > "$here/$1.pid"
        wait $mine
        code=$?
        grep -q RUNNING "$here/$1.state" && [ "$(cat "$here/$1.pid")" = $mine ] || exit
        if [ $code = 0 ]; then echo COMPLETED; else echo FAILED; fi > "$here/$1.state"
    ) > /dev/null 2>&1 &
}
case "$me" in
    sbatch)
        job=$(($(ls "$here"/*.script 2> /dev/null | wc -l) + 1))
        script=${!#}
        echo "$script" > "$here/$job.script"
        env > "$here/$job.environment"
        sed -n 's/^#SBATCH --job-name=//p' "$script" > "$here/$job.name"
        if [ -e "$here/hold" ]; then echo PENDING > "$here/$job.state"; else begin "$job"; fi
        [ "$mode" = mute ] && exec sleep 60
        echo "$job;cluster" ;;
    begin) begin "$1" ;;
    squeue)
        for argument; do
            case "$argument" in
                --jobs=*) job=${argument#--jobs=} ;;
                --name=*) job=$(grep -lx "${argument#--name=}" "$here"/*.name 2> /dev/null | head -n 1)
                    job=$(basename "${job%.name}"); [ -n "$job" ] && echo "$job"; exit 0 ;;
            esac
        done
        [ -e "$here/$job.state" ] || unknown slurm_load_jobs
        reason=$(cat "$here/reason" 2> /dev/null || echo None)
        times='2026-03-01T22:10:00|2026-03-01T22:15:00'
        echo "$job|$(cat "$here/$job.state")|$reason|node1|nightly|$times" ;;
    scancel)
        [ -e "$here/$1.state" ] || unknown "scancel: error: Kill job"
        grep -qE 'PENDING|RUNNING' "$here/$1.state" && echo CANCELLED > "$here/$1.state"
        [ -e "$here/$1.pid" ] && kill -KILL -- "-$(cat "$here/$1.pid")"
        exit 0 ;;
    scontrol)
        [ "$1" = requeue ] || exit 0
        pid=$(cat "$here/$2.pid")
        echo PENDING > "$here/$2.state"
        echo > "$here/$2.pid"
        again="sleep 0.3; kill -KILL -- -$pid; '$here/begin' $2"
        setsid bash -c "$again" > /dev/null 2>&1 < /dev/null &
        sleep 0.1 ;;
    sinfo) printf 'nightly\nurgent\nnightly\n' ;;
esac
"""
NAMES = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "begin")


class SlurmStandIn:
    """The programs below `folder`; put it on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in NAMES:
            (folder / name).write_text(PROGRAM)
            (folder / name).chmod(0o755)

    def mode(self, program: str, mode: str) -> None:
        """`away`, `garble`, `hang`, `refuse`, `mute` (sbatch takes the job and says nothing), or empty."""
        (self.folder / f"mode-{program}").write_text(mode)

    def hold(self, *, reason: str) -> None:
        """Jobs wait from now on."""
        (self.folder / "hold").touch()
        (self.folder / "reason").write_text(reason)

    def state(self, job: str, state: str) -> None:
        (self.folder / f"{job}.state").write_text(state)

    def forget(self, job: str) -> None:
        (self.folder / f"{job}.state").unlink()

    def calls(self, program: str) -> list[str]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.split()[0] == program]

    def environment(self, job: str) -> dict[str, str]:
        lines = (self.folder / f"{job}.environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
