"""What of the artifact store may go: found first, then removed, each with its row marked.

Never what is kept: the versions and runs that the caller names, what a `Retention` holds, and the
lineage of all of them: the parents of a version, the run that made it, and that run's inputs. Rows,
snapshots, and a run's order, result, events and log always stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from training.digests import path_bytes

from .inventory import ENDED, RECORDS, store_path
from .models import ModelVersion, Retention, Run, RunState
from .storage import KeptObjects, artifact_store


@dataclass(frozen=True)
class Removable:
    """`kind` is checkpoints, results, model or leftover; `path` is relative to the store."""

    kind: str
    name: str
    path: str
    bytes: int
    identity: UUID | None = None


@dataclass(frozen=True)
class Kept:
    """What the caller knows to be needed. Runs of `rounds`, and all younger than `before`, stay whole."""

    versions: Set[UUID]
    runs: Set[UUID]
    rounds: Set[UUID]
    before: datetime


def removable_artifacts(kept: Kept) -> list[Removable]:
    """Everything that the rule lets go, in order of its path.

    Raises `StoreAway` where object storage does not say what it holds."""
    objects = _Objects(artifact_store().listed())
    runs = {run.id: run for run in Run.objects.all()}
    free = {run.id for run in runs.values() if _is_free(run, kept)}
    needed = _lineage(kept, runs, free)
    found = [*_of_runs(runs, free, needed, objects), *_models(kept, needed, objects)]
    found += _leftovers(kept, runs)
    known = {item.path for item in found}
    found += [item for item in _left_objects(kept, runs, objects) if item.path not in known]
    return sorted(found, key=lambda item: item.path)


def artifact_remove(item: Removable) -> None:
    """Mark the row, then delete the files: after a kill in between the next look finds them again."""
    path, store = _store() / item.path, artifact_store()
    now = timezone.now()
    if item.kind == "results" and item.identity is not None:
        Run.objects.filter(pk=item.identity, cleared_at=None).update(cleared_at=now)
        ModelVersion.objects.filter(run=item.identity, removed_at=None).update(removed_at=now)
        if not store.shared:
            store.remove(item.path)
        for child in _results(path):
            _delete(child)
        return
    if item.kind == "model" and item.identity is not None:
        ModelVersion.objects.filter(pk=item.identity).update(removed_at=now)
    if not store.shared and item.kind != "checkpoints":
        store.remove(item.path)
    _delete(path)


def _is_free(run: Run, kept: Kept) -> bool:
    ended = run.finished_at or run.created_at
    return run.state in ENDED and ended < kept.before and run.round not in kept.rounds


def _lineage(kept: Kept, runs: dict[UUID, Run], free: set[UUID]) -> set[str]:
    """The paths, relative to the store, of everything that something kept came from."""
    versions = {version.id: version for version in ModelVersion.objects.all()}
    by_path = {version.path: version for version in versions.values()}
    held = set(Retention.objects.values_list("version_id", flat=True))
    needed: set[str] = set()
    waiting = [versions[i].path for i in (kept.versions | held) & versions.keys()]
    waiting += [_run_path(i) for i in (kept.runs | (runs.keys() - free)) & runs.keys()]
    while waiting:
        path = waiting.pop()
        if path in needed:
            continue
        needed.add(path)
        version = by_path.get(path)
        if version is not None and version.parent_id is not None:
            waiting.append(versions[version.parent_id].path)
        run = _run_of(path, runs)
        if run is not None:
            waiting += [_run_path(run.id), *_inputs(run)]
    return needed


def _run_path(run_id: UUID) -> str:
    return f"runs/{run_id}"


def _run_of(path: str, runs: dict[UUID, Run]) -> Run | None:
    """The run in whose folder the path lies."""
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or parts[0] != "runs" or not _is_uuid(parts[1]):
        return None
    return runs.get(UUID(parts[1]))


def _inputs(run: Run) -> Iterator[str]:
    """What a run read of the store."""
    for reference in run.spec.get("inputs", {}).values():
        path = store_path(reference["path"])
        if path is not None:
            yield path


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


class _Objects:
    """What object storage holds, by the first two parts of its path (`runs/ID`); nothing for a folder."""

    def __init__(self, listed: Mapping[str, list[KeptObjects]]) -> None:
        self.found: dict[str, list[KeptObjects]] = {}
        for path, several in listed.items():
            self.found.setdefault(_top(path), []).extend(several)

    def bytes(self, top: str) -> int:
        return sum(each.bytes for each in self.found.get(top, ()))


def _top(path: str) -> str:
    return "/".join(PurePosixPath(path).parts[:2])


def _of_runs(
    runs: dict[UUID, Run], free: set[UUID], needed: set[str], objects: _Objects
) -> Iterator[Removable]:
    for run_id in free:
        run, path = runs[run_id], _run_path(run_id)
        folder = _store() / path
        if path not in needed:
            here = sum(path_bytes(child) for child in _results(folder))
            size = objects.bytes(path) or here
            if size:
                yield Removable("results", f"what {run} made", path, size, run_id)
        elif run.state == RunState.SUCCEEDED and (folder / "checkpoints").is_dir():
            checkpoints = folder / "checkpoints"
            size = path_bytes(checkpoints)
            name = f"checkpoints of {run}"
            yield Removable("checkpoints", name, f"{path}/checkpoints", size, run_id)


def _results(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [child for child in folder.iterdir() if child.name not in RECORDS]


def _models(kept: Kept, needed: set[str], objects: _Objects) -> Iterator[Removable]:
    """Models that were imported and that nothing uses."""
    imported = ModelVersion.objects.filter(run=None, removed_at=None, created_at__lt=kept.before)
    for version in imported:
        if version.path in needed:
            continue
        size = objects.bytes(version.path)
        if not size and version.directory.exists():
            size = path_bytes(version.directory)
        if size:
            yield Removable("model", version.name, version.path, size, version.id)


def _leftovers(kept: Kept, runs: dict[UUID, Run]) -> Iterator[Removable]:
    """What kills and removed databases left: no row refers to it, and nobody has touched it lately."""
    known = {f"runs/{run_id}" for run_id in runs}
    known |= set(ModelVersion.objects.values_list("path", flat=True))
    for folder in ("runs", "models"):
        for path in sorted((_store() / folder).glob("*")):
            relative = f"{folder}/{path.name}"
            old = path.stat().st_mtime < kept.before.timestamp()
            if relative not in known and old and not _holds(relative, known):
                yield Removable("leftover", "nothing refers to it", relative, path_bytes(path))


def _left_objects(kept: Kept, runs: dict[UUID, Run], objects: _Objects) -> Iterator[Removable]:
    """The same in object storage, and uploads that never ended."""
    known = {f"runs/{run_id}" for run_id in runs}
    known |= {_top(path) for path in ModelVersion.objects.values_list("path", flat=True)}
    for top, several in objects.found.items():
        old = [each for each in several if each.modified < kept.before]
        if top.startswith(("runs/", "models/")) and top not in known:
            if len(old) == len(several):
                yield Removable("leftover", "nothing refers to it", top, objects.bytes(top))
            continue
        for each in old:
            if not each.whole:
                place = f"{each.path}/{each.sha256}"
                yield Removable("leftover", "an upload that never ended", place, each.bytes)


def _holds(folder: str, known: set[str]) -> bool:
    return any(path.startswith(f"{folder}/") for path in known)


def _store() -> Path:
    return Path(settings.ARTIFACT_ROOT)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
