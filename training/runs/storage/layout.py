"""How an artifact lies in a bucket: `PATH/SHA256/manifest.json`, and each file beside it by its own SHA-256.

The manifest is written last and read first: without it there is nothing. Objects are never changed, so two
attempts that made different things under one path lie side by side, and the database says which one counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.digests import MANIFEST, DigestError, file_sha256, files_sha256

from .bucket import StoredObject
from .protocol import KeptObjects

FORMAT = 1
ENTRY = "manifest.json"
SHA256_LENGTH = 64


@dataclass(frozen=True)
class Entry:
    """What a manifest in the bucket says. `files`: name -> (SHA-256, bytes); a single file has its own name."""

    path: str
    sha256: str
    folder: bool
    files: dict[str, tuple[str, int]]

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.files.values())

    def digest(self) -> str:
        """The digest that these files make, by `training.digests`."""
        if not self.folder:
            return next(sha256 for sha256, _ in self.files.values())
        named = {name: sha256 for name, (sha256, _) in self.files.items() if name != MANIFEST}
        return files_sha256(named)


def entry_key(path: str, sha256: str) -> str:
    return f"{path}/{sha256}/{ENTRY}"


def file_key(entry: Entry, file: str) -> str:
    return f"{entry.path}/{entry.sha256}/{file}"


def entry_of(root: Path, path: str, sha256: str) -> Entry:
    """What lies at `path` below `root`; raises `DigestError` where that is not `sha256`."""
    place = root / path
    if not place.exists():
        raise DigestError(f"{place}: there is no such file or directory.")
    folder = place.is_dir()
    files = sorted(each for each in place.rglob("*") if each.is_file()) if folder else [place]
    named = {
        each.relative_to(place if folder else place.parent).as_posix(): (
            file_sha256(each),
            each.stat().st_size,
        )
        for each in files
    }
    entry = Entry(path, sha256, folder, named)
    if not named or entry.digest() != sha256:
        raise DigestError(
            f"{place}: it is not what was recorded ({sha256[:12]}...); the content was changed or damaged."
        )
    return entry


def entry_write(entry: Entry) -> bytes:
    files = {
        name: {"sha256": sha256, "bytes": size} for name, (sha256, size) in entry.files.items()
    }
    document = {
        "format": FORMAT,
        "path": entry.path,
        "sha256": entry.sha256,
        "folder": entry.folder,
        "files": files,
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode()


def entry_read(content: bytes, path: str, sha256: str, *, where: str) -> Entry:
    """Raises `DigestError` naming `where` for a manifest that is damaged, or names files outside of its folder."""
    try:
        document = json.loads(content)
        files = {
            str(name): (str(each["sha256"]), int(each["bytes"]))
            for name, each in document["files"].items()
        }
        entry = Entry(
            str(document["path"]), str(document["sha256"]), bool(document["folder"]), files
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DigestError(f"{where}: it is no readable manifest.") from error
    for name in files:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or not place.parts or "\\" in name:
            raise DigestError(
                f"{where}: it names {name!r}, which would lie outside of the artifact."
            )
    if (entry.path, entry.sha256) != (path, sha256) or not files or entry.digest() != sha256:
        raise DigestError(
            f"{where}: what it lists is not {sha256[:12]}...; it was changed or damaged."
        )
    return entry


def is_part(key: str) -> bool:
    """Whether the object is of an artifact; else it is the store's marker, or a note such as a run's log."""
    *path, sha256, _name = key.rsplit("/", 2) if key.count("/") > 1 else ("", "")
    return bool(path) and len(sha256) == SHA256_LENGTH


def kept_of(objects: Iterable[StoredObject]) -> dict[str, list[KeptObjects]]:
    """Path -> what a listing of the bucket shows there, the newest last."""
    found: dict[tuple[str, str], list[StoredObject]] = {}
    for each in objects:
        if is_part(each.key):
            path, sha256, _name = each.key.rsplit("/", 2)
            found.setdefault((path, sha256), []).append(each)
    kept: dict[str, list[KeptObjects]] = {}
    for (path_, sha256), parts in found.items():
        whole = any(each.key == entry_key(path_, sha256) for each in parts)
        size = sum(each.bytes for each in parts)
        newest = max(each.modified for each in parts)
        kept.setdefault(path_, []).append(KeptObjects(path_, sha256, size, newest, whole))
    return {name: sorted(several, key=lambda each: each.modified) for name, several in kept.items()}
