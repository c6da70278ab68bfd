"""What a backup says of itself: its manifest, with the SHA-256 of everything in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from training.contracts import json_sha256

MANIFEST = "manifest.json"
FORMAT = 1


class BackupError(RuntimeError):
    """A backup cannot be made or used; the message names the thing and says what to do."""


class BackupCancelled(BackupError):
    """Somebody asked to stop; nothing half made is left behind."""


@dataclass(frozen=True)
class FileEntry:
    """A file of the backup; `path` is its name there."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TableEntry:
    """A table: `sha256` is that of its rows in COPY's text form, ordered by `key`.

    `sequences` maps a column to the last number that its sequence gave (None: it gave none yet).
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    rows: int
    sha256: str
    sequences: Mapping[str, int | None]
    file: FileEntry


@dataclass(frozen=True)
class Manifest:
    """`migrations` are the (app, name) that the database had, `left_out` tables that are not inside."""

    made_at: str
    server: str
    migrations: tuple[tuple[str, str], ...]
    tables: tuple[TableEntry, ...]
    artifacts: tuple[FileEntry, ...]
    left_out: tuple[str, ...] = ()
    format: int = FORMAT
    sha256: str = ""

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files())

    def files(self) -> tuple[FileEntry, ...]:
        return (*(table.file for table in self.tables), *self.artifacts)

    def sealed(self) -> Manifest:
        """The same with the digest of all its other fields, so that it cannot change unseen."""
        return replace(self, sha256=_digest(asdict(self)))

    def to_json(self) -> str:
        return json.dumps(asdict(self.sealed()), indent=1, ensure_ascii=False)


def manifest_read(text: bytes, *, where: str) -> Manifest:
    """The manifest in `text`; `BackupError` naming `where` when it is damaged or of another format."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise BackupError(
                f"{where} has the format {document['format']}; this release reads format {FORMAT}."
                " Restore it with the release that made it."
            )
        whole = document["sha256"] == _digest(document)
        manifest = _manifest(document)
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{where} is no whole backup: its {MANIFEST} cannot be read.") from error
    if not whole:
        raise BackupError(f"{where} is damaged: its {MANIFEST} was changed after it was written.")
    for entry in manifest.files():
        _inside(entry.path, where)
    return manifest


def _digest(document: Mapping[str, Any]) -> str:
    return json_sha256({name: value for name, value in document.items() if name != "sha256"})


def _manifest(document: dict[str, Any]) -> Manifest:
    return Manifest(
        **{
            **document,
            "migrations": tuple((app, name) for app, name in document["migrations"]),
            "tables": tuple(_table(table) for table in document["tables"]),
            "artifacts": tuple(FileEntry(**entry) for entry in document["artifacts"]),
            "left_out": tuple(document["left_out"]),
        }
    )


def _table(document: dict[str, Any]) -> TableEntry:
    return TableEntry(
        **{
            **document,
            "columns": tuple(document["columns"]),
            "key": tuple(document["key"]),
            "file": FileEntry(**document["file"]),
        }
    )


def _inside(name: str, where: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or "\0" in name:
        raise BackupError(f"{where} names {name!r}, which would lie outside of it; it is refused.")
