"""Server time and queries of the pages as the pairs, judgments, rounds and people of one line grow.

    python -m benchmarks.queue_scaling --name "after" [--pairs 10000,100000,1000000] [--turns 7]

The rows are made by SQL on a PostgreSQL server of this benchmark's own: one judgment for nineteen of twenty
pairs, spread over a year and the people, one round for each hundred pairs, ten thousand at most, each with
five runs and a deployment, a thousand people at most, an act in the audit log for each ten pairs. The
pages are asked through Django's own client, with what the site keeps between requests emptied once before
each page's turns: `first` is the answer with nothing kept. Beside each page stands its slowest statement,
with PostgreSQL's plan. The load of the machine is kept, since other work on it lengthens the figures.
Writes benchmarks/results/queue_scaling.json.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

import benchmarks.django_ready  # noqa: F401
from annotation.accounts.services import rater_for
from annotation.campaigns.models import Campaign
from annotation.comparisons.records import Answer
from annotation.comparisons.services import judgment_submit, queue_lease_next
from benchmarks.databases import database_new
from benchmarks.queue_scaling_rows import line_fill
from benchmarks.results_file import result_head
from tests.support.people import person_create
from tests.support.postgres import PostgresServer, wheel_binaries

# Of a statement and of each line of its plan; some name thousands of ids.
LONGEST = 400
RESULTS = Path(__file__).parent / "results" / "queue_scaling.json"


class Statements:
    """The statements that Django sends while it is at work, each with its seconds."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, str, Any]] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.sent.append((time.perf_counter() - began, sql, params))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", required=True, help="what this run is called in the result file")
    parser.add_argument("--pairs", default="10000,100000,1000000")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=[], help="these pages alone, by name")
    arguments = parser.parse_args()
    found: dict[str, Any] = {**result_head(), "load before": os.getloadavg()[0], "sizes": {}}
    for pairs in (int(n) for n in arguments.pairs.split(",")):
        with PostgresServer(wheel_binaries(), durable=False) as server:
            database_new(server, "queue")
            found["sizes"][str(pairs)] = measured(pairs, arguments.turns, arguments.only)
            connection.close()
        found["load after"] = os.getloadavg()[0]
        _keep(arguments.name, found)  # a longer size that is broken off loses nothing
    _table(found)
    return 0


def measured(pairs: int, turns: int, only: Sequence[str] = ()) -> dict[str, Any]:
    began = time.perf_counter()
    lead = person_create("a-lead", "lead", "engineer")
    campaign = line_fill(pairs, lead)
    print(f"{pairs:,} pairs made in {time.perf_counter() - began:.0f} s", flush=True)
    annotator = person_create("an-annotator", "annotator", line=campaign.line)
    rows = {} if only else _labelling(campaign, annotator, turns)
    for page, (user, address, head) in _pages(campaign, lead, annotator).items():
        if only and page not in only:
            continue
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        rows[page] = _turns(lambda c=client, a=address, h=head: _asked(c, a, h), turns)
        print(page, {k: v for k, v in rows[page].items() if k != "slowest"}, flush=True)
    return rows


def _pages(campaign: Campaign, lead: Any, annotator: Any) -> dict[str, tuple[Any, str, Any]]:
    one, last = f"/campaigns/{campaign.pk}/", campaign.comparisons.count() // 100
    part = {"HTTP_HX_REQUEST": "true"}
    return {
        "home of a lead": (lead, "/", {}),
        "home of an annotator": (annotator, "/", {}),
        "lines": (lead, "/lines/", {}),
        "line": (lead, "/lines/scale/", {}),
        "its live part": (lead, "/lines/scale/", part),
        "campaigns": (lead, "/campaigns/", {}),
        "campaign": (lead, one, {}),
        "quality": (lead, f"{one}quality/", {}),
        "answers listed": (lead, f"{one}quality/answers/", {}),
        "own answers": (annotator, "/answers/", {}),
        "people": (lead, "/people/", {}),
        "round": (lead, f"/lines/scale/rounds/{last}/", {}),
        "report": (lead, f"/lines/scale/rounds/{last}/report/", {}),
        "rounds of the line": (lead, "/lines/scale/reports/", {}),
        "rounds, half way back": (lead, f"/lines/scale/reports/?older={_key([last // 2])}", {}),
        "deployments": (lead, f"/gate/{campaign.line}/deployments/", {}),
        "data": (lead, "/data/", {}),
        "runs": (lead, "/runs/", {}),
        "notices": (lead, "/notices/", {}),
        "audit": (lead, "/audit/", {}),
        "audit, half a year back": (lead, f"/audit/?older={_key([_half_a_year(), 0])}", {}),
    }


def _key(values: list[Any]) -> str:
    """As the links of a table carry it."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def _half_a_year() -> str:
    return (timezone.now() - timedelta(days=182)).isoformat()


def _asked(client: Client, address: str, head: dict[str, str]) -> None:
    answer = client.get(address, **head)  # type: ignore[arg-type]
    assert answer.status_code == 200, f"{address} answered {answer.status_code}"


def _labelling(campaign: Campaign, annotator: Any, turns: int) -> dict[str, Any]:
    rater, held = rater_for(user=annotator), []
    turns = max(turns, 20)
    campaign.guidelines.get().acknowledgements.create(rater=rater)
    found = {
        "next pair": _turns(
            lambda: held.append(queue_lease_next(rater=rater, campaign=campaign)), 1
        )
    }
    rows: dict[str, list[float]] = {"next pair": [], "submit": []}
    for _ in range(turns):
        lease = held.pop()
        assert lease is not None, "the campaign has fewer pairs than turns"
        began = time.perf_counter()
        judgment_submit(
            rater=rater,
            assignment_id=lease.assignment_id,
            answer=Answer(values={"overall": 2}),
            idempotency_key=str(lease.assignment_id),
        )
        rows["submit"].append(time.perf_counter() - began)
        began = time.perf_counter()
        held.append(queue_lease_next(rater=rater, campaign=campaign))
        rows["next pair"].append(time.perf_counter() - began)
    found["next pair"] |= _quantiles(rows["next pair"])
    found["submit"] = _quantiles(rows["submit"])
    return found


def _turns(ask: Any, turns: int) -> dict[str, Any]:
    cache.clear()
    waits, processor = [], []
    statements = Statements()
    for turn in range(turns + 1):
        with connection.execute_wrapper(statements if turn == 0 else Statements()):
            began, worked = time.perf_counter(), time.process_time()
            ask()
            waits.append(time.perf_counter() - began)
            processor.append(time.process_time() - worked)
    seconds, sql, params = max(statements.sent, key=lambda one: one[0])
    return {
        "first": round(waits[0] * 1000),
        **(_quantiles(waits[1:]) if turns > 1 else {}),
        "processor": round(min(processor) * 1000),
        "queries": len(statements.sent),
        "slowest": {
            "ms": round(seconds * 1000, 1),
            "sql": sql[: 4 * LONGEST],
            "plan": [line[:LONGEST] for line in _plan(sql, params)],
        },
    }


def _plan(sql: str, params: Any) -> list[str]:
    if not sql.lstrip("( ").upper().startswith(("SELECT", "WITH")):
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
        return [line for (line,) in cursor.fetchall()]


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * s for s in seconds)
    places = {"best": 0.0, "p50": 0.5, "p95": 0.95}
    return {
        n: round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 1)
        for n, q in places.items()
    }


def _keep(name: str, found: dict[str, Any]) -> None:
    runs = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else {}
    runs[name] = found
    RESULTS.write_text(json.dumps({**result_head(), "runs": runs}, indent=1) + "\n")


def _table(found: dict[str, Any]) -> None:
    sizes = found["sizes"]
    print(
        f"{'milliseconds: first, p50, p95 (queries)':40}" + "".join(f"{int(s):>32,}" for s in sizes)
    )
    for page in next(iter(sizes.values())):
        cells = [rows[page] for rows in sizes.values()]
        words = [
            f"{c.get('first', '')} {c.get('p50')} {c.get('p95')} ({c.get('queries', '')})"
            for c in cells
        ]
        print(f"{page:40}" + "".join(word.rjust(32) for word in words))


if __name__ == "__main__":
    sys.exit(main())
