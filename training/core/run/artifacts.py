"""Atomic writes: a reader sees a file or directory whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.digests import MANIFEST, directory_files, file_sha256, files_sha256, path_bytes


@dataclass(frozen=True)
class Written:
    """What an atomic write left behind."""

    path: Path
    sha256: str
    bytes: int


def _nothing() -> None:
    return None


def file_write(path: Path, content: bytes, *, guard: Callable[[], None] = _nothing) -> Written:
    """Write through a temporary neighbour, fsync, rename. `guard` may veto first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    guard()
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)
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
        _sync_tree(temporary)
        guard()
        _replace_directory(temporary, path)
    except Exception:  # a full disk above all: what is half-written would keep it full
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Written(path=path, sha256=sha256, bytes=path_bytes(path))


def _write_manifest(directory: Path) -> str:
    files = directory_files(directory)
    sha256 = files_sha256(files)
    document = {"files": files, "sha256": sha256}
    (directory / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return sha256


def _replace_directory(temporary: Path, path: Path) -> None:
    old = path.with_name(f".{path.name}.tmp-old")
    if path.exists():
        path.rename(old)
    temporary.rename(path)
    _sync_directory(path.parent)
    if old.exists():
        shutil.rmtree(old)


def _sync_tree(directory: Path) -> None:
    for path in sorted(directory.rglob("*")):
        if path.is_dir():
            _sync_directory(path)
        else:
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    _sync_directory(directory)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
