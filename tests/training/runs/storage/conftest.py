from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.object_storage import bucket_of
from tests.support.storage_fixtures import *  # noqa: F403
from training.digests import path_sha256
from training.runs.storage import transfers
from training.runs.storage.bucket import PIECE
from training.runs.storage.cache import Cache
from training.runs.storage.object_store import ObjectStore


@pytest.fixture
def machine(prefix: str, settings: Any, tmp_path: Path) -> Callable[..., ObjectStore]:
    """A store as a machine of its own sees it, with a folder of its own for copies."""

    def make(name: str = "one", limit: int = 0, needed: set[str] | None = None) -> ObjectStore:
        bucket = bucket_of(settings, prefix=prefix)
        cache = Cache(tmp_path / name, limit, lambda: needed or set(), place=prefix)
        return ObjectStore(bucket, bucket, cache)

    return make


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Parts as small as the protocol lets them be."""
    monkeypatch.setattr(transfers, "PART", 5 * PIECE)
    return 5 * PIECE


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that are not alike anywhere."""
    return hashlib.shake_128(f"{seed}".encode()).digest(size)


def model_write(store: ObjectStore, path: str, size: int = 1000, seed: int = 0) -> str:
    """A folder as programs leave them, below the store's own; returns its digest."""
    folder = store.cache.root / path
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "config.json").write_text('{"layers": 2}')
    (folder / "model.safetensors").write_bytes(content(size, seed))
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    (folder / "manifest.json").write_text("not part of the digest")
    return path_sha256(folder)
