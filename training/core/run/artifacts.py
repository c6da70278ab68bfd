"""Atomic writes: a reader sees a file or directory whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.digests import MANIFEST, directory_files, file_sha256, files_sha256, path_bytes
from web import files


@dataclass(frozen=True)
class Written:
    """What an atomic write left behind."""

    path: Path
    sha256: str
    bytes: int


def _nothing() -> None:
    return None


def file_write(path: Path, content: bytes, *, guard: Callable[[], None] = _nothing) -> Written:
    """The file of a run, whole or not there; `guard` may veto first."""
    guard()
    files.file_write(path, content)
    return Written(path=path, sha256=file_sha256(path), bytes=len(content))


def directory_write(
    path: Path, write: Callable[[Path], None], *, guard: Callable[[], None] = _nothing
) -> Written:
    """Let `write` fill a temporary directory, add its manifest, fsync all, rename to `path`.

    What a killed attempt left half-written is removed; an earlier `path` is replaced. `guard` is
    asked before the first byte and again before the rename.
    """
    guard()
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.tmp-*"):
        shutil.rmtree(stale)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    temporary.mkdir()
    try:
        write(temporary)
        sha256 = _write_manifest(temporary)
        files.rights_share(temporary, like=temporary)
        _sync_tree(temporary)
        guard()
        _replace_directory(temporary, path)
    except Exception:  # a full disk above all: what is half-written would keep it full
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Written(path=path, sha256=sha256, bytes=path_bytes(path))


def _write_manifest(directory: Path) -> str:
    found = directory_files(directory)
    sha256 = files_sha256(found)
    document = {"files": found, "sha256": sha256}
    (directory / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return sha256


def _replace_directory(temporary: Path, path: Path) -> None:
    old = path.with_name(f".{path.name}.tmp-old")
    if path.exists():
        path.rename(old)
    temporary.rename(path)
    files.path_sync(path.parent)
    if old.exists():
        shutil.rmtree(old)


def _sync_tree(directory: Path) -> None:
    for path in (*sorted(directory.rglob("*")), directory):
        files.path_sync(path)
