"""Fixtures of tests on object storage: `from tests.support.storage_fixtures import *`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.object_storage import bucket_of, storage_server, storage_use
from training.runs.storage.bucket import Bucket

__all__ = ["bucket", "machine_is", "prefix", "server"]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with storage_server() as address:
        yield address


@pytest.fixture
def prefix(server: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    return storage_use(server, settings, monkeypatch)


@pytest.fixture
def bucket(prefix: str, settings: Any) -> Bucket:
    """What the settings name, looked at from outside."""
    return bucket_of(settings, prefix=prefix)


@pytest.fixture
def machine_is(prefix: str, settings: Any, tmp_path: Path) -> Callable[[str], Path]:
    """Go on at the machine of this name: its folder of artifacts is its own, and empty at first."""

    def go(name: str) -> Path:
        settings.ARTIFACT_ROOT = tmp_path / name / "artifacts"
        return Path(settings.ARTIFACT_ROOT)

    return go
