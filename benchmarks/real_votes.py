"""All real votes on convincing arguments, from their file to a reward model beside choosing by length.

    OUTERLOOP_REAL_DATA=../shared/data python -m benchmarks.real_votes [--seeds 7 8 9] [--pairs 800]

The suite does the same with a tenth of the file. All 62,166 votes are imported into a PostgreSQL server of
this program's own; what is in the database afterwards must be what was counted from the file alone.
Agreement and reliability are measured on them, and `manage.py reward_stage` trains once for every seed
(`--seeds` alone: not at all). Prints the tables that the commands print, writes
benchmarks/results/real_votes.json, and exits 1 where a count is another.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from django.conf import settings
from django.core.management import call_command
from django.db import connection

import benchmarks.django_ready  # noqa: F401
from annotation.campaigns.models import Campaign
from annotation.exchange.services import import_create, import_run
from annotation.quality.answers import answer_arrays
from annotation.quality.measures import agreement
from annotation.statistics.estimates import Gauged
from annotation.statistics.reliability import reliability_fit
from benchmarks.databases import database_new
from benchmarks.peers import results_write
from tests.support.crowd_votes import (
    VOTES,
    Counted,
    assert_all_is_in,
    ballots,
    counted,
    rows_read,
)
from tests.support.postgres import PostgresServer, wheel_binaries

IN_THE_FILE = Counted(
    rows=12_462, votes=62_166, pairs=12_305, revised=74, reversed=89, repeated=68,
    of_one_text=5, raters=3_759, debates=16, stances=24,
)  # fmt: skip
SHARES = re.compile(r"(\d+\.\d)% \((\d+\.\d)% to (\d+\.\d)%\)")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[7, 8, 9])
    parser.add_argument("--pairs", type=int, default=800, help="training pairs of a reward model")
    parser.add_argument("--results", type=Path, help="where the result goes instead")
    arguments = parser.parse_args()
    if not VOTES.exists():
        parser.error(f"{VOTES} is not there; OUTERLOOP_REAL_DATA names its folder.")
    os.environ["COLUMNS"] = "160"  # a row of a table in one line
    with (
        tempfile.TemporaryDirectory(prefix="outerloop-votes-") as folder,
        PostgresServer(wheel_binaries(), durable=False) as server,
    ):
        database_new(server, "votes")
        settings.ARTIFACT_ROOT = Path(folder) / "artifacts"
        line = uuid4()
        taken = votes_import(line) | labels_measured(line)
        stages = [reward_stage(line, seed, arguments.pairs) for seed in arguments.seeds]
        connection.close()
    document = {**taken, "pairs": arguments.pairs, "reward stages": stages}
    results_write("real_votes", document, path=arguments.results)
    return 0 if taken["as counted"] else 1


def votes_import(line: UUID) -> dict[str, Any]:
    """Import the file, and hold the database against it."""
    rows, began = rows_read(VOTES), time.monotonic()
    job = import_run(job_id=import_create(line_id=line, path=VOTES).pk)
    seconds = time.monotonic() - began
    assert job is not None
    print(f"{len(rows):,} rows imported in {seconds:.0f} s: {job.state} {job.error}", flush=True)
    try:
        assert counted(rows) == IN_THE_FILE
        assert_all_is_in(rows, job.counts, line)
        good = True
    except AssertionError:
        traceback.print_exc()
        good = False
    return {"counts": asdict(counted(rows)), "as counted": good, "import seconds": round(seconds)}


def labels_measured(line: UUID) -> dict[str, Any]:
    """Agreement on all votes as the quality page has it, and both ways of aggregating them against the
    file's own choice on pairs of two texts."""
    began = time.monotonic()
    answers = answer_arrays(campaign=Campaign.objects.get(line=line), newest=IN_THE_FILE.votes)
    found = agreement(answers)
    seconds = time.monotonic() - began
    votes = ballots(rows_read(VOTES))
    fit = reliability_fit(votes.pair, votes.rater, votes.answer, np.zeros_like(votes.pair))
    known = votes.gold >= 0
    lead = np.bincount(votes.pair, weights=votes.answer - 1)
    by_count = np.where(lead == 0, 0.5, np.sign(lead) + 1 == votes.gold)[known].mean()
    told = {
        "alpha of sides": _plain(found.alpha_side),
        "alpha of steps": _plain(found.alpha_steps),
        "AC1 of sides": _plain(found.gwet_side),
        "same side": _plain(found.share),
        "aggregated as gold": {
            "pairs": int(known.sum()),
            "by count": float(by_count),
            "by reliability": float((2 * (fit.second > 0.5) == votes.gold)[known].mean()),
        },
        "quality seconds": round(seconds, 1),
    }
    print(json.dumps(told, indent=1), flush=True)
    return {"labels": told}


def _plain(found: Gauged | None) -> dict[str, Any] | None:
    return asdict(found) if found else None


def reward_stage(line: UUID, seed: int, pairs: int) -> dict[str, Any]:
    """One training: the table, and (estimate, low, high) in per cent of each of its cells in turn."""
    began, said = time.monotonic(), io.StringIO()
    with contextlib.redirect_stdout(said):
        call_command(
            "reward_stage", str(line), pairs=pairs, hidden_size=48, layers=1, max_length=128, seed=seed
        )  # fmt: skip
    print(said.getvalue(), flush=True)
    shares = [[float(number) for number in found] for found in SHARES.findall(said.getvalue())]
    return {"seed": seed, "seconds": round(time.monotonic() - began), "shares": shares}


if __name__ == "__main__":
    sys.exit(main())
