"""What must be in place before any process starts, made by one program at a time."""

from __future__ import annotations

import errno
import fcntl
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command

from outerloop.database.silence import database_patience
from outerloop.rounds.schedule import sweeper_ensure
from training import facade as training


@contextmanager
def preparing() -> Iterator[None]:
    """Migrations, periodic tasks and folders; whoever comes meanwhile waits until they are there."""
    folder = Path(settings.VAR_DIR) / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "preparing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with database_patience(inf):
            call_command("migrate", verbosity=0)
            installation_enter()
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
        yield


def installation_enter() -> None:
    """The periodic tasks, and the mark of the artifact store; raises `CommandError` with the fix."""
    sweeper_ensure()
    try:
        training.store_enter()
    except (training.StoreMissing, training.StoreAway, training.StoreSettings) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(
            f"The artifact store {settings.ARTIFACT_ROOT} cannot be written ({error.strerror}): mend it,"
            " or set OUTERLOOP_ARTIFACTS to another folder."
        ) from error


def port_problem(host: str, port: int) -> str:
    """Why nothing can listen there, and what to do; "" where something can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as error:
            return _port_words(host, port, error)
    return ""


def _port_words(host: str, port: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        other = port + 80 if port + 80 <= 65_535 else port - 80
        return (
            f"Port {port} of {host} is taken by another program: end that one, or choose another port,"
            f" as in `make up PORT={other}`."
        )
    if number == errno.EACCES:
        return f"Port {port} is for the administrator alone; choose one from 1024 on."
    return f"{host} is no address of this machine; leave --host out, or use 127.0.0.1 or 0.0.0.0."


def answers(address: str) -> bool:
    """Whether somebody answers there, whatever the answer is."""
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - an address of our own
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
