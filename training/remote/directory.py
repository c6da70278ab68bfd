"""The run directory as the next attempt needs it: what lies there at one moment, by its SHA-256s."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.contracts import RunManifest
from training.digests import MANIFEST, file_sha256, files_sha256

FORMAT = 1
SENDING = ".sending"
OF_THE_ATTEMPT = frozenset(
    {"spec.json", "fence", "lock", "cancel", "pause", "error.json", "events.jsonl"}
    | {"child.log", "jobs"}
)
"""Made anew for each attempt, or told to the site by other ways."""

Listing = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class TreeUnit:
    """A folder that is never changed, such as a checkpoint, or a file. `sources`: SHA-256 -> where it is read.

    `path` is relative to the store, `files` are name -> (SHA-256, bytes).
    """

    path: str
    folder: bool
    files: dict[str, tuple[str, int]]
    sources: dict[str, Path]

    @property
    def sha256(self) -> str:
        if not self.folder:
            return next(sha256 for sha256, _ in self.files.values())
        return files_sha256({name: f[0] for name, f in self.files.items() if name != MANIFEST})

    def document(self) -> dict[str, Any]:
        files = {name: {"sha256": sha256, "bytes": size} for name, (sha256, size) in self.files.items()}  # fmt: skip
        return {
            "format": FORMAT,
            "path": self.path,
            "sha256": self.sha256,
            "folder": self.folder,
            "files": files,
        }


def directory_listed(run: Path) -> Listing:
    """Name -> size, time and inode of each file that the next attempt needs."""
    return {path.relative_to(run).as_posix(): _about(path) for path, _ in _files(run, run)}


def _about(path: Path) -> tuple[int, int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns, about.st_ino


def _files(folder: Path, run: Path) -> Iterator[tuple[Path, bool]]:
    """Each with whether it never changes. What is being written begins with a dot, or ends with .partial."""
    for each in sorted(folder.iterdir()):
        if each.name.startswith(".") or (folder == run and each.name in OF_THE_ATTEMPT):
            continue
        if _is_unit(each):
            yield from ((file, True) for file in each.rglob("*") if file.is_file())
        elif each.is_dir():
            yield from _files(each, run)
        elif each.suffix != ".partial":
            yield each, False


def _is_unit(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def directory_staged(run: Path) -> Listing | None:
    """Keep what lies there now in RUN/.sending, whatever becomes of it; None where it changed meanwhile."""
    staged = run / SENDING
    shutil.rmtree(staged, ignore_errors=True)
    try:
        before = directory_listed(run)
        for path, unchanging in _files(run, run):
            target = staged / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            (os.link if unchanging else shutil.copy2)(path, target)
        return before if directory_listed(run) == before else None
    except FileNotFoundError:
        return None


def staged_units(run: Path, stored: str) -> list[TreeUnit]:
    """What was staged, each under its path in the store; `stored` is that of the run."""
    staged = run / SENDING
    if not staged.exists():
        return []
    results = _results(staged / MANIFEST)
    return [
        _unit(path, f"{stored}/{path.relative_to(staged).as_posix()}")
        for path in _unit_paths(staged, staged, results)
    ]


def _results(manifest: Path) -> set[str]:
    """Paths of what a finished program lists: each is kept as one thing."""
    if not manifest.exists():
        return set()
    document = RunManifest.from_json(json.loads(manifest.read_text()))
    return {artifact.path for artifact in document.artifacts}


def _unit_paths(folder: Path, staged: Path, results: set[str]) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        whole = _is_unit(each) or each.relative_to(staged).as_posix() in results
        if each.is_dir() and not whole:
            yield from _unit_paths(each, staged, results)
        else:
            yield each


def _unit(path: Path, stored: str) -> TreeUnit:
    folder = path.is_dir()
    recorded = _recorded(path) if folder else {}
    files, sources = {}, {}
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if folder else [path]:
        name = file.relative_to(path).as_posix() if folder else path.name
        sha256 = recorded.get(name) or file_sha256(file)
        files[name], sources[sha256] = (sha256, file.stat().st_size), file
    return TreeUnit(stored, folder, files, sources)


def _recorded(folder: Path) -> Mapping[str, str]:
    """The SHA-256s that its own manifest names, so that weights are not hashed once more."""
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {str(name): str(sha256) for name, sha256 in dict(files).items()}
