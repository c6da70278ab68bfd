"""What leaving the three worst workers out of real votes changes, done on the pages by a lead, in Chromium.

    OUTERLOOP_REAL_DATA=../shared/data python -m benchmarks.worst_workers [--votes 20000]

Whole rows of two texts from the file's beginning, as many as the quality page reads answers, are imported into a
campaign on a PostgreSQL server of this program's own; the site is the process of `make up`. A lead takes the table of
people from the quality page, looks up the three of the lowest reliability among those with 30 labels or more, and
leaves each out by the buttons of their pages. Alpha before and after is held against the `krippendorff` package on
the file's votes, and the aggregated votes against the file's own choice (`gold`), which was made from the votes of
all. Prints a table, writes benchmarks/results/worst_workers.json, and exits 1 where product and package differ.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connection
from playwright.sync_api import sync_playwright

import benchmarks.django_ready  # noqa: F401
from annotation.campaigns.models import Campaign
from annotation.exchange.services import import_create, import_run
from annotation.quality.answers import NEWEST
from benchmarks.databases import database_new
from benchmarks.peers import results_write
from tests.support.browser import ARGUMENTS, DESKTOP, session_cookie
from tests.support.chromium import chromium_ensure
from tests.support.crowd_left_out import (
    Figures,
    figures,
    file_names,
    leave_out,
    page_says,
    says,
    without,
    worst_workers,
)
from tests.support.crowd_votes import VOTES, Row, rows_read, rows_write
from tests.support.installation import Installation
from tests.support.people import person_create
from tests.support.postgres import PostgresServer, wheel_binaries

NEAR = 1e-9


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--votes", type=int, default=NEWEST, help="at most so many of the file")
    parser.add_argument("--results", type=Path, help="where the result goes instead")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    if not VOTES.exists():
        parser.error(f"{VOTES} is not there; OUTERLOOP_REAL_DATA names its folder.")
    rows = _first(without(rows_read(VOTES), ()), arguments.votes)
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's loop runs in this thread
    with (
        tempfile.TemporaryDirectory(prefix="outerloop-worst-") as folder,
        PostgresServer(wheel_binaries(), durable=False) as server,
    ):
        url = database_new(server, "worst")
        settings.ARTIFACT_ROOT = Path(folder) / "artifacts"
        campaign = _imported(rows, Path(folder))
        document = _without_the_worst(campaign, rows, Path(folder), url)
        connection.close()
    _table(document)
    results_write("worst_workers", document, path=arguments.results)
    return 0 if document["as the package"] and document["as the page"] else 1


def _first(rows: Sequence[Row], votes: int) -> list[Row]:
    taken, given = list[Row](), 0
    for row in rows:
        given += len(row["votes"])
        if given > votes:
            break
        taken.append(row)
    return taken


def _imported(rows: Sequence[Row], folder: Path) -> Campaign:
    job = import_run(job_id=import_create(line_id=uuid4(), path=rows_write(rows, folder)).pk)
    assert job is not None
    assert job.state == "done", job.error
    return Campaign.objects.get()


def _without_the_worst(
    campaign: Campaign, rows: Sequence[Row], folder: Path, url: str
) -> dict[str, Any]:
    lead = person_create("lead", "lead", line=campaign.line)
    secret = str(settings.SECRET_KEY)
    before = figures(campaign, rows, ())
    with (
        Installation(folder, url, OUTERLOOP_SECRET_KEY=secret) as site,
        sync_playwright() as playwright,
    ):
        site.start("site")
        address = f"http://127.0.0.1:{site.port}"
        _answering(address)
        browser = playwright.chromium.launch(executable_path=chromium_ensure(), args=ARGUMENTS)
        context = browser.new_context(base_url=address, viewport=DESKTOP)  # type: ignore[arg-type]
        context.add_cookies([session_cookie(lead, address)])
        context.set_default_timeout(300_000)
        page = context.new_page()
        told = [page_says(page, campaign)]
        worst = worst_workers(page, campaign, folder)
        left = [leave_out(page, campaign, worker) for worker in worst]
        told.append(page_says(page, campaign))
        browser.close()
    after = figures(campaign, rows, file_names(worst))
    return {
        "rows": len(rows),
        "votes": sum(len(row["votes"]) for row in rows),
        "worst": [asdict(worker) for worker in worst],
        "labels for the next snapshot": [left[0][0], *(then for _, then in left)],
        "before": asdict(before),
        "after": asdict(after),
        "as the package": all(map(_as_the_package, (before, after))),
        "as the page": all(map(_as_the_page, (before, after), told)),
    }


def _answering(address: str, seconds: float = 600.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{address}/", timeout=30):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _as_the_package(found: Figures) -> bool:
    ours = (found.alpha_side[0], found.alpha_steps[0])
    return all(abs(a - b) <= NEAR for a, b in zip(ours, found.package, strict=True))


def _as_the_page(found: Figures, told: dict[str, str]) -> bool:
    side, steps = (told[f"Krippendorff’s alpha, {of}"] for of in ("side only", "seven steps"))
    return side == says(found.alpha_side) and steps == says(found.alpha_steps)


def _table(document: dict[str, Any]) -> None:
    before, after = document["before"], document["after"]
    print(f"{document['votes']:,} votes; left out: {document['worst']}")
    for name in before:
        print(f"{name:<22}{before[name]!s:>62}{after[name]!s:>62}")
    print(f"as the package: {document['as the package']}; as the page: {document['as the page']}")


if __name__ == "__main__":
    sys.exit(main())
