"""What must be in place before any process starts, made by one program at a time."""

from __future__ import annotations

import fcntl
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

from outerloop.rounds.schedule import sweeper_ensure


@contextmanager
def preparing() -> Iterator[None]:
    """Migrations, periodic tasks and folders; whoever comes meanwhile waits until they are there."""
    folder = Path(settings.VAR_DIR) / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "preparing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        call_command("migrate", verbosity=0)
        sweeper_ensure()
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
        yield


def port_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers(address: str) -> bool:
    """Whether somebody answers there, whatever the answer is."""
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - an address of our own
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
