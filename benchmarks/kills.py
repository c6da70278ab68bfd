"""SIGKILL at seeded random moments of a round: does it end with the very same artifacts?

    python -m benchmarks.kills [--target worker child both beat site postgres] [--kills 10] [--seed 7]
    python -m benchmarks.kills --real --kills 2      # PPO itself in place of programs that learn nothing

A PostgreSQL server of its own, a line with labels, and a round about to start are made once and copied
for every attempt. One copy is left undisturbed; in the others the processes of the product (workers,
schedule, site) work on the round while one of them, its learning program or the database is killed again
and again, and started again as a supervisor would. Then everything that the round made must be what the
undisturbed one made, by SHA-256, and no two programs may have written to one run in turn.

With --real the round trains its policy by PPO (tiny, about 30,000 parameters), and the policy is compared.
The result goes to benchmarks/results/kills.json; the status is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

import benchmarks.django_ready  # noqa: F401
from benchmarks.databases import database_new, database_use
from benchmarks.results_file import result_head
from evaluation import facade as evaluation
from outerloop.rounds.models import ENDS, Round, RoundStep, State
from tests.support.installation import Installation
from tests.support.kill_rounds import Prepared, fake_round, journals_broken, lineage, real_round
from tests.support.postgres import PostgresServer, wheel_binaries
from tests.support.workers import kill_programs, programs_below
from web.outages import DATABASE_AWAY, connection_drop

TARGETS = ("worker", "child", "both", "beat", "site", "postgres")
RESULTS = Path(__file__).parent / "results" / "kills.json"
PATIENCE = 900.0
FAKE = {"updates": 10, "seconds": 0.15}


@dataclass
class Outcome:
    """What became of one target: `differences` and `broken_journals` must be empty."""

    kills: int = 0
    rounds: int = 0
    programs_started: int = 0
    restarted_by_supervisor: int = 0
    seconds: float = 0.0
    moments: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    broken_journals: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.differences and not self.broken_journals


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="outerloop-kills-"))
    try:
        with PostgresServer(wheel_binaries(), durable=False) as server:
            good = _measure(Bench(server, folder, arguments), arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--kills", type=int, default=10, help="kills for each target")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--real", action="store_true", help="PPO itself; worker, child and both only"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.real:
        arguments.target = [t for t in arguments.target if t in ("worker", "child", "both")]
    return arguments


def _measure(bench: Bench, arguments: argparse.Namespace) -> bool:
    """Measure every target, and keep each result as soon as it is there; whether all are good."""
    bench.prepare()
    print(f"undisturbed: {bench.seconds:.0f} s", flush=True)
    head = (
        f"{'target':<10}{'kills':>6}{'rounds':>8}{'programs':>10}{'revived':>9}{'seconds':>9}  same"
    )
    print(head, flush=True)
    all_good = True
    for target in arguments.target:
        found = bench.target(target, random.Random(f"{arguments.seed} {target}"))
        all_good = all_good and found.good
        name = f"{target} (PPO)" if arguments.real else target
        document = {"seed": arguments.seed, **asdict(found), "good": found.good}
        _keep(arguments.results, name, document)
        print(
            f"{target:<10}{found.kills:>6}{found.rounds:>8}{found.programs_started:>10}"
            f"{found.restarted_by_supervisor:>9}{found.seconds:>9.0f}  {'yes' if found.good else 'NO'}",
            flush=True,
        )
        for line in (*found.differences, *found.broken_journals):
            print(f"    {line}", flush=True)
    return all_good


def _keep(path: Path, target: str, document: dict[str, Any]) -> None:
    """Put one target's result beside those of earlier calls."""
    path.parent.mkdir(parents=True, exist_ok=True)
    targets = json.loads(path.read_text())["targets"] if path.exists() else {}
    targets[target] = document
    path.write_text(json.dumps({**result_head(), "targets": targets}, indent=1) + "\n")


class Bench:
    """The prepared round and its copies."""

    def __init__(self, server: PostgresServer, folder: Path, arguments: argparse.Namespace) -> None:
        self.server, self.folder, self.arguments = server, folder, arguments
        self.numbers = itertools.count(1)
        self.reference: dict[str, Any] = {}
        self.seconds = 0.0

    def prepare(self) -> None:
        """Make the round, and carry one copy of it out undisturbed."""
        database_new(self.server, "prepared")
        settings.ARTIFACT_ROOT = self.folder / "prepared" / "artifacts"
        make = real_round if self.arguments.real else fake_round
        self.prepared: Prepared = make(self.folder / "prepared")
        began = time.monotonic()
        self.attempt(None, random.Random(0), 0, Outcome())
        self.seconds = time.monotonic() - began

    def target(self, target: str, dice: random.Random) -> Outcome:
        outcome, began = Outcome(), time.monotonic()
        while outcome.kills < self.arguments.kills and not outcome.differences:
            self.attempt(target, dice, self.arguments.kills - outcome.kills, outcome)
        outcome.seconds = round(time.monotonic() - began, 1)
        return outcome

    def attempt(
        self, target: str | None, dice: random.Random, kills: int, outcome: Outcome
    ) -> None:
        """One copy of the round, from its start to its end."""
        folder = self.copy()
        url = self.server.url(folder.name)
        environment = {
            "FAKE_RECIPE": json.dumps(FAKE),
            "OUTERLOOP_CHILD_VARIABLES": "FAKE_RECIPE",
        }
        with Installation(folder, url, fakes=not self.arguments.real, **environment) as site:
            site.start("worker", "beat", *(["site"] if target == "site" else []))
            disturbance = Disturbance(self, site, target, dice, kills, outcome)
            disturbance.until_the_end(self.prepared)
            found = lineage(self.prepared.round_id, self.prepared.last)
        outcome.rounds += 1
        outcome.programs_started += sum(
            len((path / "child.log").read_text().split("--- attempt ")) - 1
            for path in folder.glob("artifacts/runs/*")
        )
        outcome.broken_journals += journals_broken(folder / "artifacts")
        if target is None:
            self.reference = found
        else:
            keys = sorted(self.reference.keys() | found.keys())
            wrong = [k for k in keys if self.reference.get(k) != found.get(k)]
            outcome.differences += [f"{k}: {found.get(k)}" for k in wrong]
        shutil.rmtree(folder)

    def copy(self) -> Path:
        """Database and artifacts as they were prepared, under a name of their own."""
        connection.close()
        name = f"copy{next(self.numbers)}"
        self.server.execute(f"CREATE DATABASE {name} TEMPLATE prepared")
        folder = self.folder / name
        shutil.copytree(self.folder / "prepared" / "artifacts", folder / "artifacts")
        settings.ARTIFACT_ROOT = folder / "artifacts"
        database_use(self.server.url(name))
        return folder


@dataclass
class Disturbance:
    """Kills `target` at random moments until `kills` are done, and looks after the rest."""

    bench: Bench
    site: Installation
    target: str | None
    dice: random.Random
    kills: int
    outcome: Outcome

    def until_the_end(self, prepared: Prepared) -> None:
        deadline = time.monotonic() + PATIENCE
        next_kill = self._next()
        while not self._ended(prepared):
            if time.monotonic() > deadline:
                logs = "\n".join(f"{n}:\n{self.site.log(n)[-3000:]}" for n in self.site.processes)
                raise SystemExit(f"The round did not end.\n{logs}")
            if self.target and self.kills and next_kill() and self._strike(prepared):
                self.kills -= 1
                next_kill = self._next()
            self.outcome.restarted_by_supervisor += len(self.site.revive())
            time.sleep(0.1)

    def _ended(self, prepared: Prepared) -> bool:
        try:
            round_ = Round.objects.get(pk=prepared.round_id)
            report = evaluation.report_get(round_.pk)
        except DATABASE_AWAY:
            connection_drop()
            return False
        if round_.state in (State.FAILED, State.CANCELLED):
            raise SystemExit(f"The round is {round_.state}: {round_.error}")
        if prepared.last == State.POLICY_TRAINING:
            return round_.candidate is not None
        # What is done after the last move is made good by the sweeper.
        return report is not None and report.state in ENDS

    def _next(self) -> Callable[[], bool]:
        """Whether the moment of the next kill has come: soon after the worker works, mostly."""
        pause = self.dice.uniform(0.0, 4.0)
        waits = self.target in ("worker", "both", "postgres") and self.dice.random() < 0.8
        begun: list[float] = []

        def come() -> bool:
            if not begun and (not waits or self._busy()):
                begun.append(time.monotonic())
            return bool(begun) and time.monotonic() - begun[0] >= pause

        return come

    def _busy(self) -> bool:
        """Whether the present worker holds a step."""
        owner = f":{self.site.processes['worker'].pid}"
        try:
            return RoundStep.objects.filter(lease_owner__endswith=owner).exists()
        except DATABASE_AWAY:
            connection_drop()
            return False

    def _strike(self, prepared: Prepared) -> bool:
        """Kill; False where there is nothing to kill at the moment."""
        where = RoundStep.objects.filter(round=prepared.round_id).order_by("-position").first()
        if self.target in ("child", "both"):
            running = programs_below(self.site.folder / "artifacts")
            if not running:
                return False
            kill_programs(running)
        if self.target in ("worker", "both"):
            self._kill_and_start("worker")
        elif self.target in ("beat", "site"):
            self._kill_and_start(self.target)
        elif self.target == "postgres":
            self.bench.server.kill()
            time.sleep(self.dice.uniform(0.0, 2.0))
            self.bench.server.start()
        self.outcome.kills += 1
        self.outcome.moments.append(
            f"{where.name} {where.phase} {where.progress}" if where else "start"
        )
        return True

    def _kill_and_start(self, name: str) -> None:
        self.site.kill(name)
        time.sleep(self.dice.uniform(0.0, 1.0))
        self.site.start(name)


if __name__ == "__main__":
    sys.exit(main())
