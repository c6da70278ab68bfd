"""The artifact store of the settings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from .cache import Cache
from .folder_store import FolderStore
from .needs import paths_needed
from .protocol import ArtifactStore, StoreSettings

if TYPE_CHECKING:
    from .object_store import ObjectStore

SCHEME = "s3://"


def artifact_store() -> ArtifactStore:
    """Raises `StoreSettings` where the settings name a bucket and the client of it is not installed."""
    root = Path(settings.ARTIFACT_ROOT)
    if not settings.OUTERLOOP_ARTIFACT_STORE:
        return FolderStore(root)
    return object_store()


def object_store() -> ObjectStore:
    """The bucket of the settings, for those who have no use for a folder. Raises `StoreSettings`."""
    if not settings.OUTERLOOP_ARTIFACT_STORE:
        raise StoreSettings("Artifacts lie in a folder: set OUTERLOOP_ARTIFACT_STORE to a bucket.")
    return _object_store(
        settings.OUTERLOOP_ARTIFACT_STORE,
        settings.OUTERLOOP_S3_ENDPOINT,
        settings.OUTERLOOP_S3_REGION,
        settings.OUTERLOOP_S3_SECONDS,
        Path(settings.ARTIFACT_ROOT),
        int(settings.OUTERLOOP_CACHE_GB * 1e9),
    )


@lru_cache(maxsize=4)
def _object_store(
    address: str, endpoint: str, region: str, seconds: float, root: Path, limit: int
) -> ObjectStore:
    try:  # the client is an extra: only a process whose settings name a bucket imports it
        from .bucket import Bucket, Place
        from .object_store import ObjectStore
    except ImportError as error:
        raise StoreSettings(
            "OUTERLOOP_ARTIFACT_STORE names a bucket, and the S3 client is not installed here;"
            " `pip install outerloop[s3]`."
        ) from error
    bucket, _, prefix = address.removeprefix(SCHEME).strip("/").partition("/")
    place = Place(bucket, f"{prefix}/" if prefix else "", endpoint, region, seconds)
    cache = Cache(root, limit, paths_needed, place=f"{place} {endpoint}")
    return ObjectStore(Bucket(place), Bucket(place, attempts=1), cache)
