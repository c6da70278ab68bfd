"""Artifacts for a machine that has no credentials: addresses that open one object each, for an hour.

Whoever has them reads and writes the storage itself. What is in the store is said by manifests, which the site
alone writes, once every object is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from training.digests import DigestError

from .layout import Entry, entry_key, entry_read, entry_write, file_key
from .object_store import ObjectStore
from .transfers import PART, PartedUpload, part_length, upload_end

LINK_SECONDS = 3600

_SHA256 = re.compile(r"[0-9a-f]{64}")

Piece = tuple[int, int, str]
"""Where a piece of a file begins, how many bytes it has, and the address that takes it."""


def entry_told(document: Mapping[str, Any], *, below: str) -> Entry:
    """What a machine says that it has. Raises `DigestError` where that is no manifest of something `below`."""
    path, sha256 = str(document.get("path")), str(document.get("sha256"))
    entry = entry_read(json.dumps(document).encode(), path, sha256, where=path)
    parts = PurePosixPath(path).parts
    if not path.startswith(f"{below}/") or ".." in parts or "/".join(parts) != path:
        raise DigestError(f"{path}: it does not lie in {below}.")
    for name, (file, size) in entry.files.items():
        if not _SHA256.fullmatch(file) or size < 0:
            raise DigestError(f"{path}: {name} has no SHA-256, or a size below 0.")
    return entry


def fetch_links(store: ObjectStore, path: str, sha256: str) -> dict[str, Any]:
    """The artifact's manifest, and where each of its files is read. Raises `DigestError`, `StoreAway`."""
    entry = store.entry(path, sha256)
    document: dict[str, Any] = json.loads(entry_write(entry))
    for told in document["files"].values():
        told["url"] = store.bucket.link_get(file_key(entry, told["sha256"]), LINK_SECONDS)
    return document


def send_links(store: ObjectStore, entry: Entry) -> dict[str, list[Piece]]:
    """SHA-256 of each file that is not there -> where its pieces go; those of an earlier attempt count."""
    if store.has(entry.path, entry.sha256):
        return {}
    found = {file: _pieces(store, entry, file, size) for file, size in entry.files.values()}
    return {file: pieces for file, pieces in found.items() if pieces is not None}


def _pieces(store: ObjectStore, entry: Entry, file: str, size: int) -> list[Piece] | None:
    """None where the object is there; no pieces where all have come and are yet to be made one."""
    bucket, key = store.bucket, file_key(entry, file)
    if bucket.size(key) == size:
        return None
    if size <= PART:
        return [(0, size, bucket.link_put(key, LINK_SECONDS))]
    upload = _upload(store, key) or bucket.upload_begin(key)
    length, arrived = part_length(size), bucket.parts(key, upload)
    return [
        (start, wanted, bucket.link_part(key, upload, number, LINK_SECONDS))
        for number, start in enumerate(range(0, size, length), start=1)
        if arrived.get(number, ("", -1))[1] != (wanted := min(length, size - start))
    ]


def _upload(store: ObjectStore, key: str) -> str:
    """The newest upload in parts of this object that has not ended; else empty."""
    begun = [upload for found, upload, _ in store.bucket.uploads(key) if found == key]
    return begun[-1] if begun else ""


def send_end(store: ObjectStore, entry: Entry) -> None:
    """Every file is there: make one object of what came in parts, and write the manifest.

    Raises `DigestError` for a file that is not there, or has another size; `StoreAway`."""
    bucket = store.bucket
    for name, (file, size) in entry.files.items():
        key = file_key(entry, file)
        if size > PART and bucket.size(key) != size and (upload := _upload(store, key)):
            tags = {number: tag for number, (tag, _) in bucket.parts(key, upload).items()}
            upload_end(bucket, PartedUpload(key, upload, size, tags))
        if bucket.size(key) != size:
            raise DigestError(f"{entry.path}: {name} has not come whole.")
    bucket.put(entry_key(entry.path, entry.sha256), entry_write(entry))
