"""Server time of the report and of the round-over-round page as a line's history grows.

    python -m benchmarks.report_pages [--rounds 50,1000] [--repeats 15]

Every round has the report that its gate stored: a full record of tests' evidence, with the rounds before
it in its history. The pages are asked through Django's own client by a lead, on a PostgreSQL server of this
benchmark's own; the first answer (imports, chart compiler) is shown apart from the median of the rest.
Writes benchmarks/results/report_pages.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

import benchmarks.django_ready  # noqa: F401
from benchmarks.databases import database_new
from benchmarks.peers import results_write
from evaluation.reports.services import report_store
from outerloop.rounds.record import LISTED
from tests.evaluation.reports import records
from tests.support.people import person_create
from tests.support.postgres import PostgresServer, wheel_binaries

SLUG = records.PROMOTED.line


def rounds_store(last: int) -> None:
    """The reports of rounds 1 to `last`, each listing the last rounds up to its own."""
    listed = records.history(last)
    for number in range(1, last + 1):
        report_store(
            record=replace(
                records.PROMOTED,
                round_id=str(UUID(int=number)),
                number=number,
                candidate_version=f"v{number}",
                incumbent_version=f"v{number - 1}",
                history=listed[max(0, number - LISTED) : number],
            )
        )


def page_row(client: Client, page: str, address: str, repeats: int) -> dict[str, Any]:
    seconds = []
    with CaptureQueriesContext(connection) as statements:
        for _ in range(repeats + 1):
            started = time.perf_counter()
            answer = client.get(address)
            seconds.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.status_code
    return {
        "page": page,
        "first_ms": round(seconds[0] * 1000),
        "median_ms": round(statistics.median(seconds[1:]) * 1000),
        "worst_ms": round(max(seconds[1:]) * 1000),
        "statements": len(statements) // (repeats + 1),
        "kilobytes": round(len(answer.content) / 1000),
    }


def measured(rounds: list[int], repeats: int) -> list[dict[str, Any]]:
    client, rows = Client(), []
    lead = person_create("lead", "lead", line=UUID(records.LINE))
    client.force_login(lead, backend="django.contrib.auth.backends.ModelBackend")
    for last in rounds:
        rounds_store(last)
        for page, address in (
            ("report", f"/lines/{SLUG}/rounds/{last}/report/"),
            ("rounds of the line", f"/lines/{SLUG}/reports/"),
        ):
            row = {"rounds": last, **page_row(client, page, address, repeats)}
            rows.append(row)
            print(row, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", default="50,1000")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    rounds = [int(number) for number in arguments.rounds.split(",")]
    with PostgresServer(wheel_binaries()) as server:
        database_new(server, "pages")
        rows = measured(rounds, arguments.repeats)
    results_write("report_pages", {"rows": rows})
    headings = ("rounds", "page", "first ms", "median ms", "worst ms", "statements", "kB")
    for row in [headings, *(tuple(row.values()) for row in rows)]:
        print("".join(str(cell).rjust(20) for cell in row))


if __name__ == "__main__":
    main()
