"""The artifact store as a place: a marker file proves that it is there, writing that it can be used.

A share that is not mounted leaves an empty folder, or none, under the same name; whoever made it anew
would keep models on the wrong disk and call the right one well.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from django.conf import settings

from web.files import file_write

from .models import ModelVersion
from .storage import StoreMissing, StoreSettings, artifact_store

MARKER = ".outerloop-store"
PROBE = ".probe-"  # how the names of files begin that are written to see whether they can be
SENTENCE = "Outerloop keeps its artifacts in this folder; this file proves that it is mounted.\n"
PROBE_BYTES = 64 * 1024
LOOKED_AT = 20


def store_enter() -> None:
    """Mark the store of a new installation; raises `StoreMissing` where its models lie elsewhere.

    With a bucket the folder is this machine's cache, and may be empty."""
    store = artifact_store()
    newest = ModelVersion.objects.filter(removed_at=None).order_by("-created_at")[:LOOKED_AT]
    if not store.shared:
        store.enter({version.path: version.sha256 for version in newest})
    root = Path(settings.ARTIFACT_ROOT)
    if (root / MARKER).exists():
        return
    known = [version.directory for version in newest] if store.shared else []
    if known and not any(path.exists() for path in known):
        raise StoreMissing(
            f"The database knows models, and {root} holds none of the newest {len(known)}: mount the"
            " artifact store there, or mend OUTERLOOP_ARTIFACTS."
        )
    file_write(root / MARKER, SENTENCE)


def store_problem() -> str:
    """Why the store cannot be used, in a sentence; empty where it can. Makes no folder."""
    try:
        store = artifact_store()
    except StoreSettings as error:
        return str(error)
    return _folder_problem() or store.problem()


def _folder_problem() -> str:
    root = Path(settings.ARTIFACT_ROOT)
    if not root.is_dir():
        return f"{root} is not there; mount it, or run `python manage.py prepare` on a new place."
    if not (root / MARKER).exists():
        return (
            f"{root} holds no {MARKER}: it is not the store, or was never prepared. Mount the store"
            " there, or run `python manage.py prepare`."
        )
    return _writing_problem(root / f"{PROBE}{uuid4().hex}")


def _writing_problem(probe: Path) -> str:
    """Bytes on the disk and back: a full disk makes the file and keeps nothing in it."""
    content = os.urandom(PROBE_BYTES)
    try:
        file_write(probe, content)
        if probe.read_bytes() != content:
            return f"{probe.parent} does not give back what was written."
    except OSError as error:
        return f"{probe.parent} cannot be written: {error.strerror}."
    finally:
        with suppress(OSError):
            probe.unlink()
    return ""
