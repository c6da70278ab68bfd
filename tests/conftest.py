"""What every test shares: the embedded PostgreSQL (unless DATABASE_URL is set) and few threads."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_configure() -> None:
    if not os.environ.get("DATABASE_URL"):
        from outerloop.embedded_postgres import server_ensure

        server_ensure()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests first, so that no process is left alone with one in the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
