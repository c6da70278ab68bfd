"""The store as a whole: what it holds, and bringing everything of this machine's folder to object storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from training.digests import DigestError

from .inventory import StoredArtifact, artifacts_stored, stored_files
from .services import ArtifactMismatch
from .storage import StoreAway, StoreSettings, artifact_store

NAMED = 3


def artifacts_send(said: Callable[[str], None] = lambda name: None) -> int:
    """Send every artifact that a row refers to and object storage lacks; `said` is told each name.

    Returns how many were sent; none with a folder store. One that is not here, or damaged, does not keep the
    others back: then raises `ArtifactMismatch` at the end, naming the first ones.
    """
    sent, missing = 0, []
    try:
        store = artifact_store()
        if store.shared:
            return 0
        for artifact in artifacts_stored():
            if not artifact.sha256 or store.has(artifact.path, artifact.sha256):
                continue
            try:
                store.keep(artifact.path, artifact.sha256)
            except DigestError as error:
                missing.append(f"{artifact.name}: {error}")
                continue
            said(artifact.name)
            sent += 1
    except (StoreAway, StoreSettings) as error:
        raise ArtifactMismatch(str(error)) from error
    if missing:
        raise ArtifactMismatch(f"{len(missing)} cannot be sent. {' '.join(missing[:NAMED])}")
    return sent


def store_holds() -> str:
    """Some of what object storage holds, in words; empty where that is nothing, and for a folder store."""
    try:
        store = artifact_store()
        held = sorted(store.listed())
    except (StoreAway, StoreSettings) as error:
        raise ArtifactMismatch(str(error)) from error
    return f"{store.words()} holds {', '.join(islice(held, NAMED))}" if held else ""


def artifacts_bytes(artifacts: Iterable[StoredArtifact]) -> int:
    """Bytes of these, each file once. Raises `ArtifactMismatch` where object storage does not say."""
    try:
        listed = artifact_store().listed()
    except (StoreAway, StoreSettings) as error:
        raise ArtifactMismatch(str(error)) from error
    files, objects = set(), {}
    for artifact in artifacts:
        kept = [each for each in listed.get(artifact.path, ()) if each.sha256 == artifact.sha256]
        if kept:
            objects[artifact.path, artifact.sha256] = kept[0].bytes
        else:
            files.update(stored_files(artifact))
    return sum(objects.values()) + sum(file.stat().st_size for file in files)
