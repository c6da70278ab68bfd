"""Real votes on convincing arguments, given again through the programming interface, one rater a worker.

    OUTERLOOP_REAL_DATA=../shared/data python -m benchmarks.api_replay [--blocks 300] [--clients 4]

Site and worker are the processes of `make up`, on a PostgreSQL server of this program's own. Rows that the
same workers judged are a block (the file has 5,585): its pairs are imported by token, and each worker's token
asks for pairs and answers them as the file says. What is in the database afterwards must be what the file
says, vote by vote. Prints a table, writes benchmarks/results/api_replay.json, and exits 1 where it is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connection

import benchmarks.django_ready  # noqa: F401
from benchmarks.databases import database_new
from benchmarks.peers import results_write
from tests.support.crowd_replay import (
    block_replay,
    blocks_of,
    expected,
    in_the_database,
    tokens_made,
)
from tests.support.crowd_votes import VOTES, Row, rows_read
from tests.support.installation import Installation
from tests.support.postgres import PostgresServer, wheel_binaries
from web.client import Outerloop


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blocks", type=int, default=300, help="of 5,585; 0 for all")
    parser.add_argument("--clients", type=int, default=4, help="blocks that are labelled at once")
    parser.add_argument("--results", type=Path, help="where the result goes instead")
    arguments = parser.parse_args()
    if not VOTES.exists():
        parser.error(f"{VOTES} is not there; OUTERLOOP_REAL_DATA names its folder.")
    blocks = blocks_of(rows_read(VOTES))[: arguments.blocks or None]
    with (
        tempfile.TemporaryDirectory(prefix="outerloop-replay-") as folder,
        PostgresServer(wheel_binaries(), durable=False) as server,
    ):
        url = database_new(server, "replay")
        found = replay(Path(folder), url, blocks, arguments.clients)
        connection.close()
    for name, value in found.items():
        print(
            f"{name:<22}{value:>12,}" if not isinstance(value, bool) else f"{name:<22}{value!s:>12}"
        )
    document = {"clients": arguments.clients, **found}
    results_write("api_replay", document, path=arguments.results)
    return 0 if found["as in the file"] else 1


def replay(folder: Path, url: str, blocks: list[list[Row]], clients: int) -> dict[str, Any]:
    line = uuid4()
    tokens = tokens_made(blocks, line)
    connection.close()
    secret = str(settings.SECRET_KEY)
    with Installation(
        folder, url, OUTERLOOP_SECRET_KEY=secret, OUTERLOOP_API_PER_MINUTE="1000000"
    ) as site:
        site.start("site", "worker")

        def client(worker: str) -> Outerloop:
            return Outerloop(f"http://127.0.0.1:{site.port}", tokens[worker])

        def one(numbered: tuple[int, list[Row]]) -> int:
            return block_replay(client(""), client, line, f"Block {numbered[0]}", numbered[1])

        _answering(client(""))
        began = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            given = sum(pool.map(one, enumerate(blocks)))
        seconds = time.monotonic() - began
    wanted = expected(blocks)
    return {
        "blocks": len(blocks),
        "rows": sum(len(rows) for rows in blocks),
        "workers": len(tokens) - 1,
        "votes in the file": wanted.total(),
        "answers given": given,
        "seconds": round(seconds),
        "as in the file": in_the_database() == wanted,
    }


def _answering(client: Outerloop, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            client.get("/campaigns")
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
