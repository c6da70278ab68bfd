"""Workers, jobs, Slurm's daemons and the database killed under runs that Slurm carries out: is all the same?

    python -m benchmarks.slurm_kills [--target worker job time preemption slurmd slurmctld database] [--kills 3]

As root, with Debian's `slurm-wlm` and `munge`: a Slurm of one node on loopback, in a temporary folder, and a
PostgreSQL of its own. A tiny reward model is trained once by a worker's own child, and for every kill once by
a job: at a random moment of its training the target gets SIGKILL (a job: scancel) and what has died is started
again; or the job is told that its time is nearly over, or is preempted by one of another partition. Each run
must end with the artifacts of the first, by SHA-256. A second job may be there only where the first was
cancelled, and jobs must have begun as often as they should. Kept in benchmarks/results/slurm_kills.json; the
status is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

import benchmarks.django_ready  # noqa: F401
from benchmarks.databases import database_new
from benchmarks.results_file import result_head
from tests.support.postgres import PostgresServer, wheel_binaries
from tests.support.slurm import Slurm, missing
from training.runs.models import Run
from training.runs.services import input_from_path, run_create
from web.outages import DATABASE_AWAY, connection_drop

RESULTS = Path(__file__).parent / "results" / "slurm_kills.json"
BEGUN = {
    "worker": 1,
    "job": 2,
    "time": 2,
    "preemption": 2,
    "slurmd": 1,
    "slurmctld": 1,
    "database": 1,
}
"""Target -> how often jobs must have begun."""
PATIENCE = 900.0
CONFIG = {
    "backbone": {"kind": "fresh", "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward": 32,
                 "max_positions": 96, "vocabulary_limit": 300},
    "epochs": 12, "batch_size": 8, "learning_rate": 0.01, "max_length": 64, "checkpoint_every": 5,
    "log_every": 2,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", nargs="+", choices=list(BEGUN), default=list(BEGUN))
    parser.add_argument("--kills", type=int, default=3, help="kills for each target")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if missing():
        raise SystemExit(missing())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="outerloop-slurm-kills-"))
    try:
        with PostgresServer(wheel_binaries(), durable=False) as server, Slurm() as slurm:
            return 0 if Bench(server, slurm, folder).measure(arguments) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Bench:
    def __init__(self, server: PostgresServer, slurm: Slurm, folder: Path) -> None:
        self.server, self.slurm, self.folder = server, slurm, folder
        settings.ARTIFACT_ROOT = folder / "artifacts"
        database_new(server, "kills")
        self.data = preferences_write(folder / "preferences.jsonl")
        self.worker: subprocess.Popen[bytes] | None = None

    def measure(self, arguments: argparse.Namespace) -> bool:
        began = time.monotonic()
        child = self.carried_out("local", None, 0)
        print(f"a worker's own child: {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        undisturbed = self.carried_out("slurm", None, 0)
        seconds = time.monotonic() - began
        same = undisturbed["artifacts"] == child["artifacts"]
        print(f"a job: {seconds:.0f} s, {'the same' if same else 'DIFFERENT'}", flush=True)
        print(f"{'target':<11}{'killed at':<22}{'seconds':>8}{'jobs':>6}{'attempts':>10}  good")
        rows = rows_earlier(arguments.results, arguments.target)
        for target in arguments.target:
            dice = random.Random(f"{arguments.seed} {target}")
            for _ in range(arguments.kills):
                row = self.one_kill(target, dice, child["artifacts"])
                rows.append(row)
                self.keep(arguments.results, arguments.seed, same, rows)
                word = "yes" if row["good"] else "NO"
                print(
                    f"{target:<11}{row['at']:<22}{row['seconds']:>8}{row['jobs']:>6}"
                    f"{row['attempts']:>10}  {word}",
                    flush=True,
                )
        return same and all(row["good"] for row in rows)

    def keep(self, path: Path, seed: int, same: bool, rows: list[dict[str, Any]]) -> None:
        """After each kill, so that nothing is lost with a measurement that is ended early."""
        document = {
            **result_head(), "slurm": self.slurm.command("sbatch", "--version"),
            "seed": seed, "job undisturbed equals child": same, "kills": len(rows),
            "all good": same and all(row["good"] for row in rows), "rows": rows,
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")

    def one_kill(
        self, target: str, dice: random.Random, reference: dict[str, str]
    ) -> dict[str, Any]:
        began = time.monotonic()
        row = self.carried_out("slurm", target, dice.randrange(3, 40))
        equal = row.pop("artifacts") == reference
        expected = 2 if target == "job" else 1
        row["seconds"] = round(time.monotonic() - began)
        seen = (row["jobs"], row["attempts"], row["begun"])
        row["good"] = equal and seen == (expected, expected, BEGUN[target])
        return {"target": target, "equal": equal, **row}

    def carried_out(self, backend: str, target: str | None, events: int) -> dict[str, Any]:
        """One run from its order to its end; the target is killed after so many events."""
        order = run_create(
            line_id=uuid.uuid4(), kind="reward_model", seed=5, config=CONFIG,
            inputs={"preferences": input_from_path(self.data)},
        )  # fmt: skip
        run = Run.objects.get(pk=order.id)
        self.worker_start(run, backend)
        at = ""
        try:
            if target:
                self.until(run, lambda: len(events_of(run)) >= events)
                at = events_of(run)[-1]
                self.strike(target, run, backend)
            self.until(run, lambda: _asked(run) == "succeeded")
        finally:
            self.worker_end()
        run.refresh_from_db()
        manifest = run.manifest or {}
        return {
            "at": at,
            "jobs": len(list(run.directory.glob("jobs/*/holder"))),
            "attempts": run.fence,
            "begun": sum(
                len(path.read_text().splitlines()) for path in run.directory.glob("jobs/*/begun")
            ),
            "artifacts": {a["name"]: a["sha256"] for a in manifest["artifacts"]},
        }

    def strike(self, target: str, run: Run, backend: str) -> None:
        if target == "worker":
            self.worker_end()
            self.worker_start(run, backend)
        elif target in ("job", "time"):
            job = (run.directory / "jobs" / "1" / "holder").read_text().strip()
            how = [] if target == "job" else ["--batch", "--signal=USR1"]
            self.slurm.command("scancel", *how, job)
        elif target == "preemption":
            urgent = ["--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 2"]
            self.slurm.command("sbatch", *urgent)
        elif target == "database":
            self.server.kill()
            time.sleep(2)
            self.server.start()
        else:
            self.slurm.kill(target)
            time.sleep(2)
            self.slurm.start(target)

    def worker_start(self, run: Run, backend: str) -> None:
        environment = {
            **os.environ, **self.slurm.environment,
            "DATABASE_URL": self.server.url("kills"), "CELERY_BROKER_URL": "",
            "DJANGO_SETTINGS_MODULE": "outerloop.settings.dev",
            "OUTERLOOP_VAR": str(self.folder / "var"), "OUTERLOOP_ARTIFACTS": str(settings.ARTIFACT_ROOT),
            "OUTERLOOP_JOBS": backend, "OUTERLOOP_SLURM_PARTITION": "nightly", "OMP_NUM_THREADS": "1",
            "OUTERLOOP_LEASE_SECONDS": "15", "OUTERLOOP_HEARTBEAT_SECONDS": "1",
        }  # fmt: skip
        with (self.folder / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "tests.support.run_executor", str(run.id)],
                cwd=settings.BASE_DIR, env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def worker_end(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()

    def until(self, run: Run, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                said = [self.folder / "worker.log", run.directory / "child.log"]
                logs = "\n".join(path.read_text()[-3000:] for path in said if path.exists())
                raise SystemExit(f"It did not happen in time.\n{logs}\n{self.slurm.logs()}")
            time.sleep(0.02)


def rows_earlier(path: Path, targets: list[str]) -> list[dict[str, Any]]:
    """What earlier calls found of other targets stays beside what this one finds."""
    if not path.exists():
        return []
    return [row for row in json.loads(path.read_text())["rows"] if row["target"] not in targets]


def _asked(run: Run) -> str:
    try:
        run.refresh_from_db()
    except DATABASE_AWAY:
        connection_drop()
    return run.state


def events_of(run: Run) -> list[str]:
    """ "train member_0 12/270" for every event so far."""
    with suppress(OSError):
        lines = (run.directory / "events.jsonl").read_bytes().split(b"\n")[:-1]
        events = [json.loads(line) for line in lines]
        return [f"{e['phase']} {e['step']}/{e['total_steps']}" for e in events]
    return []


def preferences_write(path: Path) -> Path:
    dice = random.Random(3)
    rows = []
    for number in range(240):
        preference = float(dice.random() < 0.8)
        texts = ["Use the kill command." + " then check." * dice.randrange(3), "I can't help."]
        rows.append({
            "id": str(number), "group": f"group {number // 2}",
            "messages": [{"role": "user", "content": f"How do I end a process {number % 5}?"}],
            "completions": texts, "preference": preference, "strength": 7 - 5 * preference,
            "split": ("train", "train", "train", "validation", "test")[number // 2 % 5],
        })  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


if __name__ == "__main__":
    sys.exit(main())
