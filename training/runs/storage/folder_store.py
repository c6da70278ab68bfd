"""The artifact store as a folder that every process sees: nothing is sent, nothing is fetched."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.digests import artifact_verify

from .protocol import KeptObjects, Progress, unwatched


@dataclass(frozen=True)
class HeldFolder:
    path: Path

    def release(self) -> None:
        """Nobody takes it away."""


class FolderStore:
    shared = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def words(self) -> str:
        return str(self.root)

    def keep(self, path: str, sha256: str, *, watch: Progress = unwatched) -> None:
        """It lies there already."""

    def local(self, path: str, sha256: str, *, watch: Progress = unwatched) -> Path:
        return self.root / path

    def hold(self, path: str, sha256: str, *, watch: Progress = unwatched) -> HeldFolder:
        return HeldFolder(self.root / path)

    def check(self, path: str, sha256: str) -> None:
        artifact_verify(self.root / path, sha256)

    def has(self, path: str, sha256: str) -> bool:
        return (self.root / path).exists()

    def digest(self, path: str) -> str | None:
        return None

    def listed(self) -> Mapping[str, list[KeptObjects]]:
        return {}

    def remove(self, path: str) -> None:
        place = self.root / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def note_put(self, path: str, content: bytes) -> None:
        """It lies in the folder already."""

    def note(self, path: str) -> bytes:
        return b""

    def enter(self, known: Mapping[str, str]) -> None:
        """The folder's own marker says it (see `training.runs.store`)."""

    def problem(self) -> str:
        return ""
