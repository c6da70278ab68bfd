"""PostgreSQL servers of a test's own, on loopback, that may be killed: the one of the wheel, or Debian's."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import psycopg

from outerloop.embedded_postgres import _binaries_ensure, _home_create, _server_uid, server_place

DEBIAN = Path("/usr/lib/postgresql/15/bin")


class PostgresServer:
    """A new cluster in a temporary folder, on a free port of 127.0.0.1 and on nothing else."""

    def __init__(self, binaries: Path, *, durable: bool = True) -> None:
        """Without `durable` it survives kills as well, but not the end of the machine: recovery is quick."""
        self.binaries = binaries
        # Below the system's own folder: the server's user may not enter a folder of root's.
        self.folder = Path(tempfile.mkdtemp(prefix="outerloop-postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._own(self.folder)
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust",
                  "--encoding=UTF8", "--locale=C.UTF-8")  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\nmax_connections = 100\n"
                "unix_socket_directories = ''\nshared_buffers = '128MB'\n"
                f"fsync = {'on' if durable else 'off'}\n"
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self, *, patience: float = 60) -> None:
        """Start and wait until it answers; backends of a killed postmaster may need a moment to end."""
        deadline = time.monotonic() + patience
        while not self.answers():
            if self.process is None or self.process.poll() is not None:
                self._launch()
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()[-2000:]
            time.sleep(0.1)

    def _launch(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.data)],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                cwd=self.folder, start_new_session=True, **self._user(),
            )  # fmt: skip

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the postmaster: its backends are orphans and notice."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # a fast shutdown
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def execute(self, statement: str) -> None:
        self.execute_in("postgres", statement)

    def execute_in(self, database: str, statement: str) -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def asked(self, query: str) -> Any:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
            return row[0] if row else None

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.binaries / program), *arguments],
            check=True, cwd=self.folder, stdout=subprocess.DEVNULL, **self._user(),
        )  # fmt: skip

    def _user(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return {}
        uid = _server_uid()
        return {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": []}

    def _own(self, folder: Path) -> None:
        if os.geteuid() == 0:
            entry = pwd.getpwuid(_server_uid())
            os.chown(folder, entry.pw_uid, entry.pw_gid)


class StandbyServer(PostgresServer):
    """A copy of a running server that follows it: made by pg_basebackup, read-only."""

    def __init__(self, primary: PostgresServer) -> None:
        self.binaries = primary.binaries
        self.folder = Path(tempfile.mkdtemp(prefix="outerloop-postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.process = None
        self._own(self.folder)
        where = ["--host", "127.0.0.1", "--port", str(primary.port), "--username", "postgres"]
        self._run("pg_basebackup", *where, "--pgdata", str(self.data), "--checkpoint=fast",
                  "--write-recovery-conf", "--wal-method=stream")  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"port = {self.port}\n")


def wheel_binaries() -> Path:
    """The programs of the embedded server, where its user may run them; starts nothing."""
    place = server_place()
    if not place.home.exists():
        _home_create(place)
    _binaries_ensure(place)
    return place.binaries


def debian_binaries() -> Path | None:
    """Debian's PostgreSQL 15; None without the package postgresql-15."""
    return DEBIAN if shutil.which("postgres", path=str(DEBIAN)) else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
