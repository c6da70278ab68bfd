"""`manage.py doctor`: what is configured, reachable and missing, in words."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.utils import Error as DatabaseError

from annotation import facade as annotation
from annotation.contracts import AnnotationError
from evaluation import facade as evaluation
from outerloop.broker import broker_connection
from outerloop.database.direct import session_of_its_own
from outerloop.database.silence import database_patience
from outerloop.operations.job_schedulers import scheduler_findings
from outerloop.operations.monitoring.health import migrations_check, sweeper_check
from outerloop.operations.standing import policy_server_finding, replica_findings
from outerloop.processes.lines import process_lines
from outerloop.processes.sharing import SharedLock
from outerloop.rounds.models import PolicyLine
from outerloop.rounds.suites import tasks_unmeasurable
from training import facade as training
from training.contracts import TRACKERS

LEAST_FREE_GB = 2.0
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Diagnosis:
    """`level` is ok, note or bad; only bad findings make the command fail."""

    level: str
    name: str
    says: str


class Command(BaseCommand):
    help = "Say in words what is configured, reachable and missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--counts",
            choices=("check", "mend"),
            help="compare what is kept of campaigns and of rounds with the rows and reports that it is made"
            " of, which reads all of them, or make it anew",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["counts"] == "mend":
            _mend()
        signs = {"ok": "ok  ", "note": "note", "bad": "BAD "}
        bad = 0
        with database_patience(PATIENCE_SECONDS):
            for finding in findings(counts=options["counts"] is not None):
                self.stdout.write(f"{signs[finding.level]}  {finding.name}: {finding.says}")
                bad += finding.level == "bad"
        if bad:
            sys.exit(1)


def findings(*, counts: bool = False) -> Iterator[Diagnosis]:
    """`counts`: what is kept of campaigns and rounds too: every pair, assignment and report is read."""
    yield Diagnosis("ok", "Python", sys.version.split()[0])
    yield _database()
    yield from _pooler()
    for level, says in replica_findings():
        yield Diagnosis(level, "Replica", says)
    yield _migrations()
    yield _sweeper()
    yield _broker()
    yield _store(Path(settings.ARTIFACT_ROOT))
    yield _accelerator()
    yield from _trackers()
    yield from _tasks()
    yield from _scheduler()
    yield _processes()
    yield _mail()
    yield _browser()
    if counts:
        yield _counts()
        yield _listing()
    yield from _lines()


def _mend() -> None:
    try:
        with database_patience(inf):
            annotation.counts_mend()
            evaluation.listing_mend()
    except AnnotationError as error:
        raise CommandError(str(error)) from error


def _counts() -> Diagnosis:
    with database_patience(inf):
        wrong = annotation.counts_wrong()
    if not wrong:
        return Diagnosis("ok", "Counts", "what is kept of every campaign is what its rows come to")
    listed = ", ".join(sorted(map(str, wrong)))
    says = f"differ from the rows in {listed}; `manage.py doctor --counts mend` counts them anew"
    return Diagnosis("bad", "Counts", says)


def _listing() -> Diagnosis:
    with database_patience(inf):
        wrong = evaluation.listing_wrong()
    if not wrong:
        return Diagnosis("ok", "Rounds", "the rows of every line are what its stored reports say")
    listed = ", ".join(sorted(map(str, wrong)))
    says = f"differ from the stored reports in {listed}; `manage.py doctor --counts mend` makes them anew"
    return Diagnosis("bad", "Rounds", says)


def _database() -> Diagnosis:
    kind = "embedded" if settings.USES_EMBEDDED_POSTGRES else "from DATABASE_URL"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0]
    except DatabaseError as error:
        return Diagnosis(
            "bad", "Database", f"PostgreSQL ({kind}) does not answer: {str(error).splitlines()[0]}"
        )
    return Diagnosis("ok", "Database", f"PostgreSQL {version}, {kind}")


def _pooler() -> Iterator[Diagnosis]:
    """Whether DATABASE_URL leads through a pooler, and DATABASE_DIRECT_URL past it to the same server."""
    try:
        named, answering, server = _session(connection)
        if settings.DATABASE_DIRECT:
            with session_of_its_own() as own:
                *_, direct = _session(own)
    except DatabaseError as error:
        if settings.DATABASE_DIRECT:
            says = f"DATABASE_DIRECT_URL: {str(error).splitlines()[0]}"
            yield Diagnosis("bad", "Past the pooler", says)
        return
    if settings.DATABASE_DIRECT and direct != server:
        says = "DATABASE_DIRECT_URL leads to another database than DATABASE_URL"
        yield Diagnosis("bad", "Past the pooler", says)
    elif settings.DATABASE_DIRECT:
        yield Diagnosis("ok", "Past the pooler", "DATABASE_DIRECT_URL leads to the same database")
    elif named != answering:
        says = (
            "DATABASE_URL leads through one; if it pools transactions, name the server itself in"
            " DATABASE_DIRECT_URL"
        )
        yield Diagnosis("note", "Pooler", says)


def _session(of: Any) -> tuple[int, int, tuple[Any, ...]]:
    """The process that was named when connecting, the one that answers, and the database it serves."""
    with of.cursor() as cursor:
        cursor.execute(
            "SELECT pg_backend_pid(), pg_postmaster_start_time(), current_database()::text"
        )
        answering, *server = cursor.fetchone()
        return cursor.connection.info.backend_pid, answering, tuple(server)


def _migrations() -> Diagnosis:
    check = migrations_check()
    return Diagnosis("ok" if check.ok else "bad", "Migrations", check.says)


def _sweeper() -> Diagnosis:
    check = sweeper_check()
    return Diagnosis("ok" if check.ok else "bad", "Sweeper", check.says)


def _broker() -> Diagnosis:
    url = settings.CELERY_BROKER_URL
    kind = url.split(":", 1)[0]
    what = "the database itself" if kind.startswith("sqla") else kind
    try:
        with broker_connection() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=PATIENCE_SECONDS)
    except Exception as error:
        return Diagnosis(
            "bad",
            "Broker",
            f"{what} does not answer ({error!r}); see CELERY_BROKER_URL. Rounds wait until it does.",
        )
    return Diagnosis("ok", "Broker", what)


def _store(root: Path) -> Diagnosis:
    problem = training.store_problem()
    if problem:
        return Diagnosis("bad", "Artifact store", problem)
    free = shutil.disk_usage(root).free / 1e9
    says = f"{root}, {free:.0f} GB free"
    if settings.OUTERLOOP_ARTIFACT_STORE:
        says = f"{settings.OUTERLOOP_ARTIFACT_STORE} can be read and written; copies in {says}"
    return Diagnosis("bad" if free < LEAST_FREE_GB else "ok", "Artifact store", says)


def _accelerator() -> Diagnosis:
    try:
        config = training.accelerate_config(settings.OUTERLOOP_ACCELERATE_CONFIG)
    except training.LaunchError as error:
        return Diagnosis("bad", "Learning programs", str(error))
    if config is not None:
        return Diagnosis("ok", "Learning programs", f"run as {config} says")
    where = "one GPU" if Path("/dev/nvidia0").exists() else f"the CPU, {os.cpu_count()} cores"
    return Diagnosis(
        "ok", "Learning programs", f"run on {where} (OUTERLOOP_ACCELERATE_CONFIG is empty)"
    )


def _trackers() -> Iterator[Diagnosis]:
    for name in settings.OUTERLOOP_TRACKERS:
        libraries = TRACKERS.get(name)
        if libraries is None:
            says = f"OUTERLOOP_TRACKERS names {name!r}; there are {', '.join(TRACKERS)}."
            yield Diagnosis("bad", "Trackers", says)
        elif not any(map(find_spec, libraries)):
            says = (
                f"{name} needs {' or '.join(libraries)} in this environment; runs send it nothing."
            )
            yield Diagnosis("bad", "Trackers", says)
        elif name == "mlflow" and not os.environ.get("MLFLOW_TRACKING_URI"):
            yield Diagnosis(
                "bad", "Trackers", "mlflow needs MLFLOW_TRACKING_URI, which is not set."
            )
        else:
            yield Diagnosis("ok", "Trackers", f"metrics of runs go to {name} as well")


def _tasks() -> Iterator[Diagnosis]:
    """Whether tasks of lm-evaluation-harness can be measured, and lines that need it."""
    name, missing = "Tasks of lm-eval", evaluation.task_library_missing()
    for folder in settings.OUTERLOOP_TASK_FOLDERS:
        if not Path(folder).is_dir():
            says = f"OUTERLOOP_TASK_FOLDERS names {folder}, which is no folder"
            yield Diagnosis("bad", name, says)
    if not missing:
        yield Diagnosis("ok", name, f"answered through lm-eval {evaluation.task_library()}")
        return
    try:
        stuck = [line.slug for line in PolicyLine.objects.all() if tasks_unmeasurable(line)]
    except DatabaseError:
        stuck = []
    if stuck:
        yield Diagnosis("bad", name, f"{missing} Lines that need it: {', '.join(stuck)}.")
    else:
        yield Diagnosis("note", name, missing)


def _scheduler() -> Iterator[Diagnosis]:
    for level, says in scheduler_findings():
        yield Diagnosis(level, "Job scheduler", says)


def _processes() -> Diagnosis:
    running = {p.name: found for p in process_lines() if (found := SharedLock(p.name).holder())}
    if not running:
        return Diagnosis("note", "Processes", "none runs here; `make up` starts them")
    words = ", ".join(f"{name} ({holder.process})" for name, holder in running.items())
    site = running.get("site")
    where = f", the site at {site.address}" if site and site.address else ""
    return Diagnosis("ok", "Processes", f"{words} run{where}")


def _mail() -> Diagnosis:
    if settings.EMAIL_HOST:
        return Diagnosis("ok", "E-mail", f"notices go out through {settings.EMAIL_HOST}")
    return Diagnosis("note", "E-mail", "not configured (EMAIL_HOST); notices show in the page only")


def _browser() -> Diagnosis:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    says = found or "no Chromium found; only `make test` needs one"
    return Diagnosis("ok" if found else "note", "Browser for tests", says)


def _lines() -> Iterator[Diagnosis]:
    try:
        lines = list(PolicyLine.objects.all())
    except DatabaseError:
        return
    if not lines:
        yield Diagnosis("note", "Lines", "none yet; `make demo` builds one")
    served = False
    for line in lines:
        deployed = evaluation.deployment_current(line.id)
        if deployed is None:
            yield Diagnosis("note", f"Line {line.slug}", "has no deployed policy yet")
        elif deployed.served_at is None:
            yield Diagnosis(
                "note", f"Line {line.slug}", "its policy server has not answered yet; `make up`"
            )
        else:
            served = True
            yield Diagnosis("ok", f"Line {line.slug}", "deployed and served")
    if served:
        level, says = policy_server_finding(PATIENCE_SECONDS)
        yield Diagnosis(level, "Policy server", says)
