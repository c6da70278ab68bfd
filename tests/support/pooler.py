"""Debian's PgBouncer of a test's own, in transaction mode, before a server of a test's own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.brokers import program_path
from tests.support.postgres import PostgresServer, free_port

PATIENCE = 60.0


def pooler_missing() -> str:
    """Which Debian package to install, or ""."""
    there = program_path("pgbouncer")
    return "" if there else "pgbouncer is not installed; on Debian: apt install pgbouncer"


@contextmanager
def pooled(server: PostgresServer, database: str, *, sessions: int = 3) -> Iterator[str]:
    """The address of `database` through a pooler that has so many sessions for all who ask."""
    port = free_port()
    settings = server.folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n{database} = host=127.0.0.1 port={server.port} user=postgres\n"
        "[pgbouncer]\nauth_type = any\npool_mode = transaction\nmax_client_conn = 100\n"
        f"default_pool_size = {sessions}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\n"
    )
    settings.chmod(0o644)
    with (server.folder / "pgbouncer.log").open("ab") as log:
        process = subprocess.Popen(
            [str(program_path("pgbouncer")), str(settings)], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, cwd=server.folder, start_new_session=True, **server._user(),
        )  # fmt: skip
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/{database}"
        _answers(url, server.folder / "pgbouncer.log")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)
