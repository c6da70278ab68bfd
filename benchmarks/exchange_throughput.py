"""How fast labels are taken in and written out.

    python -m benchmarks.exchange_throughput [--rows 100000] [--repeats 3]

Judged pairs (one vote each, texts of 60 to 200 words, three labels a prompt) are put into a PostgreSQL
server of their own by an import; then each export is written in turn, so that the machine's moods meet all. Rows for
each second of this program's own processor time are kept too, without PostgreSQL's: other work on the
machine lengthens the wall clock and hardly those. So is how much memory the program took at most beyond
what it had before. The result is kept in
benchmarks/results/exchange_throughput.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from django.db import connection

import benchmarks.django_ready  # noqa: F401
from annotation.exchange.export_options import ExportOptions
from annotation.exchange.exporting import export_write
from annotation.exchange.services import import_create, import_run
from benchmarks.databases import database_new
from benchmarks.peers import results_write, summary
from tests.support.postgres import PostgresServer, wheel_binaries

WORDS = [f"word{n}" for n in range(5000)]
EXPORTS = {
    "training labels, JSON lines": ("training", ".jsonl"),
    "training labels, JSON lines gzipped": ("training", ".jsonl.gz"),
    "training labels, Parquet": ("training", ".parquet"),
    "everything, JSON lines": ("everything", ".jsonl"),
    "everything, JSON lines gzipped": ("everything", ".jsonl.gz"),
    "everything, CSV": ("everything", ".csv"),
    "everything, Parquet": ("everything", ".parquet"),
    "everything, dataset folder": ("everything", ""),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, help="where the result goes instead")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="outerloop-exports-") as scratch,
        PostgresServer(wheel_binaries()) as server,
    ):
        load = os.getloadavg()[0]
        line, taken = _labelled(server, Path(scratch), arguments.rows)
        found = _measured(line, Path(scratch), arguments.repeats)
        connection.close()
    for name, row in {"import, JSON lines": taken, **found}.items():
        wall, own = (row[key]["median"] for key in ("rows_per_second", "rows_per_cpu_second"))
        print(
            f"{name:38} {wall:>8,.0f} rows/s {own:>8,.0f} a CPU second, at most"
            f" {row['peak_mib_over_idle']:,.0f} MiB more"
        )
    document = {
        "rows": arguments.rows,
        "load_average_before": round(load, 2),
        "import": taken,
        "exports": found,
    }
    results_write("exchange_throughput", document, path=arguments.results)
    return 0


def _labelled(server: PostgresServer, folder: Path, rows: int) -> tuple[uuid.UUID, dict[str, Any]]:
    """The line that the rows went into, and how fast."""
    database_new(server, "exports")
    line, path, draw = uuid.uuid4(), folder / "labels.jsonl", random.Random(7)
    with path.open("w") as file:
        for n in range(rows):
            chosen, rejected = (
                " ".join(draw.choices(WORDS, k=draw.randint(60, 200))) for _ in "ab"
            )
            row = {
                "prompt": f"Question {n // 3}?",
                "chosen": chosen,
                "rejected": rejected,
                "rater": f"r{n % 50}",
                "split": "train",
            }
            file.write(json.dumps(row) + "\n")
    job = import_create(line_id=line, path=path)
    idle = _memory(reset=True)
    began, used = time.perf_counter(), time.process_time()
    done = import_run(job_id=job.pk)
    rates = rows / (time.perf_counter() - began), rows / (time.process_time() - used)
    assert done is not None
    assert done.counts["votes_new"] == rows, done.counts
    print(f"{rates[0]:,.0f} rows/s in", file=sys.stderr)
    return line, {
        "rows_per_second": summary([rates[0]]),
        "rows_per_cpu_second": summary([rates[1]]),
        "peak_mib_over_idle": round(_memory() - idle, 1),
    }


def _memory(*, reset: bool = False) -> float:
    """The most memory (MiB, resident) that the program had since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _measured(line: uuid.UUID, folder: Path, repeats: int) -> dict[str, Any]:
    rates: dict[str, list[float]] = {name: [] for name in EXPORTS}
    own: dict[str, list[float]] = {name: [] for name in EXPORTS}
    most = dict.fromkeys(EXPORTS, 0.0)
    for number in range(repeats):
        for name, (content, ending) in EXPORTS.items():
            path = folder / f"out-{number}-{content}{ending}"
            idle = _memory(reset=True)
            began, used = time.perf_counter(), time.process_time()
            counts = export_write(line_id=line, path=path, options=ExportOptions(content=content))
            rates[name].append(counts.rows / (time.perf_counter() - began))
            own[name].append(counts.rows / (time.process_time() - used))
            most[name] = max(most[name], round(_memory() - idle, 1))
            path.unlink() if path.is_file() else shutil.rmtree(path)
            print(f"  {name}: {rates[name][-1]:,.0f} rows/s", file=sys.stderr)
    return {
        name: {
            "rows_per_second": summary(rates[name]),
            "rows_per_cpu_second": summary(own[name]),
            "peak_mib_over_idle": most[name],
        }
        for name in EXPORTS
    }


if __name__ == "__main__":
    sys.exit(main())
