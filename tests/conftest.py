"""What every test shares: the embedded PostgreSQL (unless DATABASE_URL is set) and few threads."""

from __future__ import annotations

import fcntl
import gc
import os
from typing import IO

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


_used: list[IO[str]] = []


def pytest_configure() -> None:
    if not os.environ.get("DATABASE_URL"):
        from outerloop.embedded_postgres import server_ensure

        users = (server_ensure().home / "users").open("w")
        fcntl.flock(users, fcntl.LOCK_SH)  # a demo that ends meanwhile leaves the server running
        _used.append(users)


@pytest.fixture(autouse=True, scope="session")
def _emptied_quickly() -> None:
    from tests.support.emptying import emptied_quickly

    emptied_quickly()


def pytest_collection_finish() -> None:
    """What is loaded by now stays: a program under test that collects garbage need not search it, which
    takes seconds each time where some thousand tests are collected."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests first, so that no process is left alone with one in the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
