"""A whole round on each kind of installation, told apart by settings alone.

    python -m benchmarks.brokers [--installation embedded redis rabbitmq] [--demo]

embedded: the PostgreSQL of the wheel, which is the broker as well, as `make up` has it. redis: Debian's
PostgreSQL 15 with Redis. rabbitmq: the wheel's PostgreSQL with RabbitMQ. Servers are started on loopback,
on free ports, in temporary folders. The round's programs learn nothing; with --demo the quick demo is run
instead, which trains in earnest. The result is kept in benchmarks/results/brokers.json; the status is 1
where a round did not close, or an artifact is not what was recorded.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

import benchmarks.django_ready  # noqa: F401
from benchmarks.databases import database_new
from benchmarks.results_file import result_head
from evaluation import facade as evaluation
from outerloop.rounds.models import ENDS, Round
from tests.support.brokers import missing, rabbitmq_broker, redis_broker
from tests.support.installation import Installation
from tests.support.kill_rounds import fake_round, lineage
from tests.support.postgres import PostgresServer, debian_binaries, wheel_binaries

RESULTS = Path(__file__).parent / "results" / "brokers.json"
PATIENCE = 240.0


@contextmanager
def database_itself() -> Iterator[str]:
    yield ""


BROKERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "embedded": database_itself,
    "redis": redis_broker,
    "rabbitmq": rabbitmq_broker,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--installation", nargs="+", choices=list(BROKERS), default=list(BROKERS))
    parser.add_argument(
        "--demo", action="store_true", help="the quick demo, which trains in earnest"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    good = True
    for name in arguments.installation:
        found = measure(name, demo=arguments.demo)
        good = good and found["good"]
        print(f"{name:<10}{'demo' if arguments.demo else 'round'}  {json.dumps(found)}", flush=True)
        _keep(arguments.results, f"{name}, demo" if arguments.demo else name, found)
    return 0 if good else 1


def _keep(path: Path, name: str, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    installations = json.loads(path.read_text())["installations"] if path.exists() else {}
    installations[name] = found
    document = {**result_head(), "installations": installations}
    path.write_text(json.dumps(document, indent=1) + "\n")


def measure(name: str, *, demo: bool) -> dict[str, Any]:
    binaries = debian_binaries() if name == "redis" else wheel_binaries()
    lacks = missing("redis-server") if name == "redis" else ""
    lacks = lacks or (missing("rabbitmq-server") if name == "rabbitmq" else "")
    if binaries is None or lacks:
        raise SystemExit(lacks or "There is no PostgreSQL 15; on Debian: apt install postgresql-15")
    folder = Path(tempfile.mkdtemp(prefix="outerloop-brokers-"))
    try:
        with PostgresServer(binaries, durable=False) as server, BROKERS[name]() as broker:
            url = database_new(server, "brokers")
            settings.ARTIFACT_ROOT = folder / "artifacts"
            return (demo_turn if demo else round_turn)(url, broker, folder)
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)


def round_turn(url: str, broker: str, folder: Path) -> dict[str, Any]:
    """A round from its snapshot to its next pairs, by the product's worker and schedule."""
    prepared = fake_round(folder)
    began = time.monotonic()
    with Installation(folder, url, broker_url=broker) as site:
        site.start("worker", "beat")
        while not _closed(prepared.round_id):
            if time.monotonic() - began > PATIENCE:
                raise SystemExit(f"The round did not end.\n{site.log('worker')[-3000:]}")
            if dead := site.revive():
                raise SystemExit(f"{dead[0]} ended.\n{site.log(dead[0])[-3000:]}")
            time.sleep(0.2)
    return {"seconds": round(time.monotonic() - began, 1), **_found(prepared.round_id, broker)}


def demo_turn(url: str, broker: str, folder: Path) -> dict[str, Any]:
    """`manage.py demo --quick`, with its own workers."""
    began = time.monotonic()
    Installation(folder, url, broker_url=broker).manage("demo", "--quick", "--no-serve")
    round_ = Round.objects.order_by("-number").first()
    assert round_ is not None
    return {"seconds": round(time.monotonic() - began, 1), **_found(round_.pk, broker)}


def _closed(round_id: Any) -> bool:
    round_, report = Round.objects.get(pk=round_id), evaluation.report_get(round_id)
    if round_.state in ("FAILED", "CANCELLED"):
        raise SystemExit(f"The round is {round_.state}: {round_.error}")
    return report is not None and report.state in ENDS


def _found(round_id: Any, broker: str) -> dict[str, Any]:
    round_ = Round.objects.get(pk=round_id)
    made = lineage(round_id, ENDS[0])
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0]
        cursor.execute("SELECT to_regclass('kombu_message') IS NOT NULL")
        tables = cursor.fetchone()[0]
    return {
        "postgresql": version,
        "broker": broker.split(":", 1)[0] or "the database",
        "messages went through the database": tables,
        "state": round_.state,
        "verdict": round_.verdict,
        "steps done": len(made["steps done"]),
        "artifacts": sum(len(found) for found in made["runs"].values()),
        "next pairs": made["number of pairs"],
        "good": round_.state == "CLOSED" and not made["damaged"] and tables == (not broker),
    }


if __name__ == "__main__":
    sys.exit(main())
