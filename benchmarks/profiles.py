"""What takes the time of a quality page that measures, and of an export: by statement and by function.

    python -m benchmarks.profiles [--pairs 100000] [--of quality exports]

The rows are those of `queue_scaling`, on a PostgreSQL server of this program's own. For a page: the statements
with their seconds, the plan of the first two with the buffers that they read, and the functions by time. For an
export: rows a second of processor time, and the functions by time, training labels first, then everything.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.db import connection

import benchmarks.django_ready  # noqa: F401
from annotation.campaigns.models import Campaign
from annotation.exchange.export_options import ExportOptions
from annotation.exchange.exporting import export_write
from annotation.quality.answers import answer_arrays
from annotation.quality.pages import quality_measure
from benchmarks.databases import database_new
from benchmarks.queue_scaling import Statements
from benchmarks.queue_scaling_rows import line_fill
from tests.support.people import person_create
from tests.support.postgres import PostgresServer, wheel_binaries

SHOWN = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--of", nargs="+", choices=["quality", "exports"], default=["quality"])
    arguments = parser.parse_args()
    with PostgresServer(wheel_binaries(), durable=False) as server:
        database_new(server, "profiles")
        campaign = line_fill(arguments.pairs, person_create("a-lead", "lead", "engineer"))
        print(f"{arguments.pairs:,} pairs; load {os.getloadavg()[0]:.1f}")
        if "quality" in arguments.of:
            quality(campaign)
        if "exports" in arguments.of:
            exports(campaign)
        connection.close()


def quality(campaign: Campaign) -> None:
    statements, began = Statements(), time.process_time()
    with connection.execute_wrapper(statements):
        quality_measure(campaign=campaign)
    print(f"measuring: {time.process_time() - began:.2f} s of this process, and of the database")
    for seconds, sql, _ in statements.sent:
        print(f"  {seconds:.3f} {_line(sql)}")
    statements = Statements()
    with connection.execute_wrapper(statements):
        answer_arrays(campaign=campaign)
    for _, sql, parameters in statements.sent[:2]:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", parameters)
            print("\n".join(row[0][:160] for row in cursor.fetchall()))
    _functions(lambda: quality_measure(campaign=campaign))


def exports(campaign: Campaign) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.jsonl"
        for options in (ExportOptions(), ExportOptions(content="everything")):
            began = time.process_time()
            rows = export_write(line_id=campaign.line, path=path, options=options).rows
            rate = rows / (time.process_time() - began)
            print(f"{options.content}: {rows:,} rows, {rate:,.0f} a second of processor time")
            _functions(partial(export_write, line_id=campaign.line, path=path, options=options))


def _functions(act: Callable[[], object]) -> None:
    profile = cProfile.Profile()
    profile.runcall(act)
    pstats.Stats(profile).sort_stats("tottime").print_stats(SHOWN)


def _line(sql: str) -> str:
    return " ".join(sql.split())[:150]


if __name__ == "__main__":
    main()
