"""`manage.py doctor`: what is configured, reachable and missing, in words."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error as DatabaseError
from kombu import Connection

from evaluation import facade as evaluation
from outerloop.processes.lines import process_lines
from outerloop.processes.sharing import SharedLock
from outerloop.rounds.models import PolicyLine
from training import facade as training

LEAST_FREE_GB = 2.0


@dataclass(frozen=True)
class Diagnosis:
    """`level` is ok, note or bad; only bad findings make the command fail."""

    level: str
    name: str
    says: str


class Command(BaseCommand):
    help = "Say in words what is configured, reachable and missing."

    def handle(self, *args: Any, **options: Any) -> None:
        signs = {"ok": "ok  ", "note": "note", "bad": "BAD "}
        bad = 0
        for finding in findings():
            self.stdout.write(f"{signs[finding.level]}  {finding.name}: {finding.says}")
            bad += finding.level == "bad"
        if bad:
            sys.exit(1)


def findings() -> Iterator[Diagnosis]:
    yield Diagnosis("ok", "Python", sys.version.split()[0])
    yield _database()
    yield _migrations()
    yield _broker()
    yield _store(Path(settings.ARTIFACT_ROOT))
    yield _accelerator()
    yield _processes()
    yield _mail()
    yield _browser()
    yield from _lines()


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


def _migrations() -> Diagnosis:
    try:
        executor = MigrationExecutor(connection)
    except DatabaseError as error:
        return Diagnosis("bad", "Migrations", f"cannot be read: {str(error).splitlines()[0]}")
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        return Diagnosis("bad", "Migrations", f"{len(plan)} wait; run `python manage.py migrate`.")
    return Diagnosis("ok", "Migrations", "all applied")


def _broker() -> Diagnosis:
    url = settings.CELERY_BROKER_URL
    kind = url.split(":", 1)[0]
    what = "the database itself" if kind.startswith("sqla") else kind
    try:
        with Connection(url, connect_timeout=3) as broker:
            broker.ensure_connection(max_retries=1, timeout=5)
    except Exception as error:
        return Diagnosis(
            "bad",
            "Broker",
            f"{what} does not answer ({error!r}); see CELERY_BROKER_URL. Rounds wait until it does.",
        )
    return Diagnosis("ok", "Broker", what)


def _store(root: Path) -> Diagnosis:
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Diagnosis("bad", "Artifact store", f"{root} cannot be written: {error.strerror}.")
    free = shutil.disk_usage(root).free / 1e9
    says = f"{root}, {free:.0f} GB free"
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
    for line in lines:
        deployed = evaluation.deployment_current(line.id)
        if deployed is None:
            yield Diagnosis("note", f"Line {line.slug}", "has no deployed policy yet")
        elif deployed.served_at is None:
            yield Diagnosis(
                "note", f"Line {line.slug}", "its policy server has not answered yet; `make up`"
            )
        else:
            yield Diagnosis("ok", f"Line {line.slug}", "deployed and served")
