"""Where artifacts are kept: a folder that every machine shares, or object storage with a local cache."""

from __future__ import annotations

from .door import artifact_store
from .protocol import (
    ArtifactStore,
    Held,
    KeptObjects,
    Progress,
    StoreAway,
    StoreMissing,
    StoreSettings,
    unwatched,
)

__all__ = [
    "ArtifactStore",
    "Held",
    "KeptObjects",
    "Progress",
    "StoreAway",
    "StoreMissing",
    "StoreSettings",
    "artifact_store",
    "unwatched",
]
