"""Whether others read our exports: `datasets` loads every container, TRL's trainers take a step on each format.

    python -m benchmarks.exchange_load [--peer-site FOLDER]

Labels with system turns and several turns are taken in, given to a PostgreSQL server of their own, and
written out in every container and every format. The peer loads each file in an environment of its own
(`benchmarks.peers`), and RewardTrainer, DPOTrainer and KTOTrainer take one optimiser step. It ends with
status 1 where anything is refused. The result is kept in benchmarks/results/exchange_load.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from django.db import connection

import benchmarks.django_ready  # noqa: F401
from annotation.exchange.everything import COLUMNS
from annotation.exchange.export_options import LAYOUTS, SHAPES, ExportOptions
from annotation.exchange.exporting import export_write
from annotation.exchange.services import import_create, import_run
from annotation.exchange.trainers import training_columns
from benchmarks.databases import database_new
from benchmarks.peers import Side, peer_python, results_write, versions
from tests.support.postgres import PostgresServer, wheel_binaries
from tests.support.tiny_models import tiny_policy_artifact

REQUIREMENTS = ["trl>=1.16,<1.17"]
CONTAINERS = {"jsonl": ".jsonl.gz", "csv": ".csv", "parquet": ".parquet", "dataset": ""}
TRAINERS = {"explicit": ("reward", "dpo"), "implicit": ("reward", "dpo"), "unpaired": ("kto",)}
LABELS = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer-site", type=Path, help="a folder that holds the peer")
    parser.add_argument("--results", type=Path, help="where the result goes instead")
    arguments = parser.parse_args()
    python = peer_python("trl-exports", REQUIREMENTS, site=arguments.peer_site)
    with (
        tempfile.TemporaryDirectory(prefix="outerloop-exports-") as scratch,
        PostgresServer(wheel_binaries()) as server,
    ):
        folder = Path(scratch)
        line = _labelled(server, folder)
        model = str(tiny_policy_artifact(folder / "model"))
        log = folder / "peer.log"
        peer = Side.start(
            "datasets and TRL", "benchmarks.peer_exchange_load", python=python,
            site=arguments.peer_site, threads=1, log=log,
        )  # fmt: skip
        try:
            rows = [*_everything(peer, line, folder), *_training(peer, line, folder, model)]
        finally:
            peer.close()
        connection.close()
    found = versions(
        python, ["datasets", "trl", "transformers", "pyarrow"], site=arguments.peer_site
    )
    results_write("exchange_load", {"versions": found, "rows": rows}, path=arguments.results)
    for row in rows:
        print(f"{row['what']:60} {row['says']}")
    return int(any(not row["good"] for row in rows))


def _labelled(server: PostgresServer, folder: Path) -> uuid.UUID:
    database_new(server, "exports")
    line, path = uuid.uuid4(), folder / "labels.jsonl"
    with path.open("w") as file:
        for n in range(LABELS):
            file.write(json.dumps(_row(n)) + "\n")
    done = import_run(job_id=import_create(line_id=line, path=path).pk)
    assert done is not None
    assert done.counts["votes_new"] == LABELS, done.counts
    return line


def _row(number: int) -> dict[str, Any]:
    """A label: every other one on a conversation of several turns, with a system prompt."""
    question = {"role": "user", "content": f"How many metres are {number} km?"}
    turns = [
        {"role": "system", "content": "Answer with the number alone."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Ask."},
    ]
    return {
        "prompt": [*(turns if number % 2 else []), question],
        "chosen": [{"role": "assistant", "content": f"{number}000 m"}],
        "rejected": [{"role": "assistant", "content": f"=\u201c{number}00\u201d m"}],
        "strength": 1 + number % 3,
        "split": "train",
    }


def _everything(peer: Side, line: uuid.UUID, folder: Path) -> list[dict[str, Any]]:
    found = []
    for container, ending in CONTAINERS.items():
        path = folder / f"everything-{container}{ending}"
        export_write(line_id=line, path=path, options=ExportOptions(content="everything"))
        found.append(_loaded(peer, f"everything, {container}", path, container, LABELS, COLUMNS))
    return found


def _training(peer: Side, line: uuid.UUID, folder: Path, model: str) -> list[dict[str, Any]]:
    found = []
    for layout in LAYOUTS:
        for shape in SHAPES:
            options = ExportOptions(layout=layout, shape=shape)
            for container, ending in CONTAINERS.items():
                name = f"{layout}-{shape}-{container}"
                path = folder / f"{name}{ending}"
                export_write(line_id=line, path=path, options=options)
                rows = LABELS * (2 if layout == "unpaired" else 1)
                columns = training_columns(options)
                found.append(_loaded(peer, name, path, container, rows, columns))
            for trainer in TRAINERS[layout]:
                path = folder / f"{layout}-{shape}-parquet.parquet"
                found.append(_stepped(peer, f"{layout}-{shape}", path, trainer, model))
    return found


def _loaded(
    peer: Side, name: str, path: Path, container: str, rows: int, columns: Any
) -> dict[str, Any]:
    answer = peer.ask(act="load", path=str(path), container=container)
    good = answer.get("rows") == rows and set(answer.get("columns", ())) == set(columns)
    says = answer.get("error") or f"{answer['rows']} rows, {len(answer['columns'])} columns"
    return {"what": f"load {name}", "good": good, "says": says}


def _stepped(peer: Side, name: str, path: Path, trainer: str, model: str) -> dict[str, Any]:
    answer = peer.ask(act="step", path=str(path), container="parquet", trainer=trainer, model=model)
    says = answer.get("error") or f"one step, loss {answer['loss']:.3f}"
    return {
        "what": f"{trainer} trainer on {name}",
        "good": answer.get("steps") == 1,
        "says": says,
    }


if __name__ == "__main__":
    sys.exit(main())
