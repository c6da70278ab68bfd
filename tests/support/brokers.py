"""Redis and RabbitMQ of a test's own, on loopback and free ports, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kombu import Connection

from tests.support.postgres import free_port

PATIENCE = 120.0


def missing(*programs: str) -> str:
    """Which Debian package to install for the first of the programs that is not there, or "" ."""
    packages = {"redis-server": "redis-server", "rabbitmq-server": "rabbitmq-server"}
    for program in programs:
        if program_path(program) is None:
            return f"{program} is not installed; on Debian: apt install {packages[program]}"
    return ""


def program_path(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")


@contextmanager
def redis_broker() -> Iterator[str]:
    """A Redis that keeps nothing; its address for CELERY_BROKER_URL."""
    port = free_port()
    command = [
        str(program_path("redis-server")), "--bind", "127.0.0.1", "--port", str(port),
        "--save", "", "--appendonly", "no",
    ]  # fmt: skip
    with _folder("redis") as folder, _program(command, folder, dict(os.environ)):
        yield _answering(f"redis://127.0.0.1:{port}/0")


@contextmanager
def rabbitmq_broker() -> Iterator[str]:
    """A RabbitMQ node with a name, ports and folders of its own; its address for CELERY_BROKER_URL."""
    port, distribution, mapper = free_port(), free_port(), free_port()
    with _folder("rabbitmq") as folder:
        environment = {
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin",
            "HOME": str(folder),  # its cookie lies there
            "RABBITMQ_NODENAME": f"outerloop{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "no-such-file"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        # The script of Debian's /usr/sbin changes to the system's user and folders first.
        server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        command = [server if Path(server).exists() else str(program_path("rabbitmq-server"))]
        try:
            with _program(command, folder, environment):
                yield _answering(f"amqp://guest:guest@127.0.0.1:{port}//")
        finally:
            _name_server_end(environment)


def _name_server_end(environment: dict[str, str]) -> None:
    """Erlang leaves its name server behind; this one has a port of its own, so that it is ours."""
    programs = [program_path("epmd"), *map(str, Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))]
    for program in [p for p in programs if p][:1]:
        subprocess.run([program, "-kill"], env=environment, capture_output=True, check=False)


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"outerloop-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _program(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)


def _answering(url: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with Connection(url, connect_timeout=2) as broker:
                broker.ensure_connection(max_retries=1, timeout=3)
            return url
        except Exception:
            assert time.monotonic() < deadline, f"the broker does not answer at {url}"
            time.sleep(0.3)
