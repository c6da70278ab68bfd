"""One child process that serves one artifact: `transformers serve` on a port of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evaluation.gates.serving.client import PolicyUnavailable, policy_ask, policy_healthy
from training import facade as training

LOCAL = "127.0.0.1"
PROBE = [{"role": "user", "content": "Hello"}]
LOG_TAIL_BYTES = 2000
LOG_LARGEST_BYTES = 10_000_000
STOP_SECONDS = 2.0  # it has nothing to save


class EngineServer(Protocol):
    """What looks after one running server needs of it."""

    @property
    def port(self) -> int: ...
    def alive(self) -> bool: ...
    def stop(self) -> None: ...
    def last_words(self) -> str: ...


class Served(Protocol):
    """What the supervisor needs of the replicas of one version; `ports` are those that may be asked now."""

    size: int

    @property
    def ports(self) -> Sequence[int]: ...
    def alive(self) -> bool: ...
    def stop(self) -> None: ...
    def last_words(self) -> str: ...


class EngineError(RuntimeError):
    """The server did not come up; the message ends with the last lines that it printed."""


@dataclass
class EngineProcess:
    """`folder` holds the link that gives the artifact its name; it goes with the server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    folder: Path

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to the process group after `STOP_SECONDS`."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def last_words(self) -> str:
        """How it ended by itself, and what it printed last."""
        return (
            f"Its server ended by itself ({_ending(self.process.returncode)}) and is started again."
            f"\nIts last lines:\n{log_tail(self.log)}"
        )


def engine_start(
    artifact: Path,
    *,
    name: str,
    home: Path,
    timeout: float = 300.0,
    cancelled: Callable[[], bool] = lambda: False,
    number: int = 1,
    gpus: Sequence[str] = (),
) -> EngineProcess:
    """Start a server on `artifact` under the model name `name` and ask it once.

    `home` keeps the log and, per server, a folder with a link `name` to the artifact: the server
    takes a folder name for the model's name, and so clients see one name across versions.
    Raises `EngineError` when it ends, refuses the probe, or is not up after `timeout` seconds;
    `cancelled` is asked while waiting. `number` tells replicas apart by their logs; `gpus` are the devices
    that it sees, empty for all.
    """
    port = free_port()
    engine = _spawn(artifact, name=name, log=log_path(home, number), port=port, gpus=gpus)
    try:
        _wait_healthy(engine, time.monotonic() + timeout, cancelled)
        policy_ask(PROBE, host=LOCAL, port=port, max_tokens=8, timeout=timeout)
    except (EngineError, PolicyUnavailable) as error:
        engine.stop()
        raise EngineError(f"{error} Its last lines:\n{log_tail(engine.log)}") from error
    except BaseException:
        engine.stop()
        raise
    return engine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


def log_tail(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
    return ""


def log_path(home: Path, number: int) -> Path:
    return home / ("server.log" if number == 1 else f"server-{number}.log")


def gpus_of(number: int, replicas: int, gpus: Sequence[str]) -> list[str]:
    """The devices of replica `number` (1..`replicas`): each has its share, or several share one."""
    if len(gpus) >= replicas:
        return list(gpus[number - 1 :: replicas])
    return [gpus[(number - 1) % len(gpus)]] if gpus else []


def _spawn(
    artifact: Path, *, name: str, log: Path, port: int, gpus: Sequence[str]
) -> EngineProcess:
    home = log.parent
    folder = home / f"port-{port}"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / name
    link.unlink(missing_ok=True)
    link.symlink_to(artifact.resolve(), target_is_directory=True)
    if log.exists() and log.stat().st_size > LOG_LARGEST_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as out:
        process = subprocess.Popen(
            _command(name, port),
            cwd=folder,
            env=_environment(home, gpus),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the supervisor, which stops the child in order
        )
    return EngineProcess(process, port, log, folder)


def _command(name: str, port: int) -> list[str]:
    serve = ["-m", "transformers.cli.transformers", "serve", name]
    listen = ["--host", LOCAL, "--port", str(port)]
    child = [sys.executable, "-P", "-m", "evaluation.gates.serving.child", str(os.getpid())]
    # -P: the folder of the link must not be searched for modules.
    return [*child, sys.executable, "-P", *serve, *listen]


def _environment(home: Path, gpus: Sequence[str] = ()) -> dict[str, str]:
    """No access to any model hub: what is served is what lies in the artifact folder."""
    hub = home / "hub"
    hub.mkdir(parents=True, exist_ok=True)
    checkout = str(Path(__file__).resolve().parents[3])
    return training.child_environment(
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_UPDATE_CHECK="1",
        HF_HUB_CACHE=str(hub),
        PYTHONPATH=os.pathsep.join(filter(None, [checkout, os.environ.get("PYTHONPATH")])),
        PYTHONUNBUFFERED="1",
        **({"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}),
    )


def _ending(status: int) -> str:
    """The signal is the kernel's where memory ran out: SIGKILL."""
    if status >= 0:
        return f"status {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def _wait_healthy(engine: EngineProcess, deadline: float, cancelled: Callable[[], bool]) -> None:
    while not policy_healthy(host=LOCAL, port=engine.port):
        if not engine.alive():
            raise EngineError(f"The server ended with status {engine.process.returncode}.")
        if cancelled():
            raise EngineError("The start was called off.")
        if time.monotonic() > deadline:
            raise EngineError("The server was not up in time.")
        time.sleep(0.2)
