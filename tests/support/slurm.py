"""A Slurm of one node on loopback: its own munge key and socket, its own configuration, in a temporary folder.

Debian's `slurmctld`, `slurmd` and `munged`. As root only, because slurmd starts jobs as their users.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.support.postgres import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
WHERE = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
CONFIGURATION = """
ClusterName=outerloop
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PriorityType=priority/basic
ReturnToService=2
SlurmdParameters=config_overrides
InactiveLimit=0
KillWait=3
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=30
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node} CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=nightly Nodes=node1 Default=YES MaxTime=60 State=UP PriorityTier=1
PartitionName=urgent Nodes=node1 MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str:
    """Why no Slurm can be started here; empty where one can."""
    if os.geteuid() != 0:
        return "a Slurm of the test's own is started by root alone"
    absent = [name for name in PROGRAMS if shutil.which(name, path=WHERE) is None]
    return f"no {', '.join(absent)}: apt install slurm-wlm munge" if absent else ""


class Slurm:
    """`environment` is what Slurm's commands need to find it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outerloop-slurm-"))
        self.folder.chmod(0o755)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        self.configuration = self.folder / "slurm.conf"
        self.configuration.write_text(
            CONFIGURATION.format(
                host=socket.gethostname().split(".")[0],
                controller=free_port(),
                node=free_port(),
                folder=self.folder,
            )
        )
        self.environment = {"SLURM_CONF": str(self.configuration), "PATH": WHERE}

    def __enter__(self) -> Self:
        try:
            self.start("munged", "slurmctld", "slurmd")
            self.wait_for("idle")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *names: str) -> None:
        commands = {
            "munged": [
                *("--foreground", "--force"),
                *(f"--{name}-file={self.folder}/munge/{name}" for name in ("key", "pid", "seed", "log")),
                f"--socket={self.folder}/munge/socket",
            ],
            "slurmctld": ["-D"],
            "slurmd": ["-D", "-N", "node1"],
        }  # fmt: skip
        for name in names:
            program = shutil.which(name, path=WHERE)
            assert program is not None
            with (self.folder / f"{name}.out").open("ab") as out:
                self.processes[name] = subprocess.Popen(
                    [program, *commands[name]],
                    env={**os.environ, **self.environment},
                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                    start_new_session=True,
                )  # fmt: skip
            if name == "munged":
                self.until(lambda: (self.folder / "munge" / "socket").exists(), "munged")

    def kill(self, name: str) -> None:
        """SIGKILL to the daemon alone: what slurmd had started goes on."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        with suppress(subprocess.TimeoutExpired):  # where the controller is gone
            self.command("scancel", "--partition=nightly")
        for name in ("slurmd", "slurmctld", "munged"):
            process = self.processes.pop(name, None)
            if process is None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, program: str, *arguments: str) -> str:
        """What one of Slurm's commands prints, its errors as well."""
        done = subprocess.run(
            [program, *arguments], env={**os.environ, **self.environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20,
        )  # fmt: skip
        return done.stdout.strip()

    def wait_for(self, state: str) -> None:
        """Until the node is in this state."""
        self.until(
            lambda: state in self.command("sinfo", "--noheader", "--format=%t").split(), state
        )

    def until(self, holds: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"{what}: {self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        found = [*self.folder.glob("*.out"), *self.folder.glob("*.log")]
        return "\n".join(f"{path.name}:\n{path.read_text()[-1500:]}" for path in found)
