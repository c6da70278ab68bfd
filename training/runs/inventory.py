"""Which files of the artifact store the database refers to, for backups and retention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.conf import settings

from training.digests import MANIFEST, files_sha256

from .models import ModelVersion, Run, RunState, Snapshot

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
# What a program needs only while it works, and what a kill left half written.
WORKING_FOLDERS = frozenset({"checkpoints"})
# What stays of a run: small, and what it did can be read from it.
RECORDS = frozenset(
    {"spec.json", "manifest.json", "events.jsonl", "error.json", "child.log", "fence", "lock"}
)
WORKING_FILES = frozenset({"lock", "fence", "cancel", "pause"})


@dataclass(frozen=True)
class StoredArtifact:
    """A file or directory below the store; `path` is relative to it.

    `sha256` is the recorded digest, empty where none was recorded (a run's log and events).
    """

    name: str
    path: str
    sha256: str


def store_path(path: str | Path) -> str | None:
    """Where what an order names lies, relative to the store; None for what lies elsewhere.

    Orders name what lies in the store relative to it, and those of earlier releases by full path: after
    a restore into another folder the end of that path still says where the file is.
    """
    store, parts = Path(settings.ARTIFACT_ROOT), Path(path).parts
    if not Path(path).is_absolute():
        return Path(path).as_posix()
    if Path(path).is_relative_to(store):
        return Path(path).relative_to(store).as_posix()
    ends = (PurePosixPath(*parts[place:]) for place in range(1, len(parts) - 1))
    return next((end.as_posix() for end in ends if (store / end).exists()), None)


def order_path(path: str) -> str:
    """What an order says of an input: relative to the store, so that no mount has to be the same."""
    place = Path(path)
    try:
        return place.resolve().relative_to(Path(settings.ARTIFACT_ROOT).resolve()).as_posix()
    except ValueError:
        return str(place)


def input_path(path: str | Path) -> Path:
    """The same as a full path, of today; an input from elsewhere is where the order says."""
    stored = store_path(path)
    return Path(path) if stored is None else Path(settings.ARTIFACT_ROOT) / stored


def artifacts_stored() -> Iterator[StoredArtifact]:
    """Everything that a row refers to: model versions, snapshots, inputs and results of ended runs."""
    for version in ModelVersion.objects.filter(removed_at=None).order_by("path"):
        yield StoredArtifact(f"model {version.name}", version.path, version.sha256)
    for snapshot in Snapshot.objects.order_by("path"):
        yield StoredArtifact(str(snapshot), snapshot.path, snapshot.sha256)
    gone = _removed_paths()
    for run in Run.objects.order_by("created_at"):
        yield from _of_run(run, gone)


def _removed_paths() -> set[str]:
    """What retention took: an old run may still name it as its input."""
    cleared = Run.objects.exclude(cleared_at=None).values_list("pk", flat=True)
    removed = ModelVersion.objects.exclude(removed_at=None).values_list("path", flat=True)
    return {f"runs/{run_id}" for run_id in cleared} | set(removed)


def _of_run(run: Run, gone: set[str]) -> Iterator[StoredArtifact]:
    folder = run.stored
    if run.cleared_at is not None:
        if run.directory.exists():
            yield StoredArtifact(f"run {run}", folder, "")
        return
    for name, reference in run.spec.get("inputs", {}).items():
        relative = store_path(reference["path"])
        if relative is None:
            continue
        if gone.isdisjoint([relative, *(str(p) for p in PurePosixPath(relative).parents)]):
            yield StoredArtifact(f"input {name} of run {run}", relative, reference["sha256"])
    if run.state not in ENDED:
        return  # still being written; after a restore it begins again
    for artifact in (run.manifest or {}).get("artifacts", ()):
        relative = f"{folder}/{artifact['path']}"
        yield StoredArtifact(f"{artifact['name']} of run {run}", relative, artifact["sha256"])
    if run.directory.exists():
        yield StoredArtifact(f"run {run}", folder, "")


def stored_files(artifact: StoredArtifact) -> list[Path]:
    """The files of an artifact in order of their name; of a run's folder only what outlives its program."""
    path = Path(settings.ARTIFACT_ROOT) / artifact.path
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if artifact.sha256:
        return files  # all of them make the digest
    if (
        settings.OUTERLOOP_ARTIFACT_STORE
    ):  # what else lies there are copies, which may go at any time
        files = [file for file in files if file.parent == path and file.name in RECORDS]
    return [file for file in files if not _is_working(file.relative_to(path))]


def stored_digest(artifact: StoredArtifact, files: Mapping[Path, str]) -> str:
    """The digest of an artifact whose `stored_files` have these SHA-256s; compare it with the recorded."""
    path = Path(settings.ARTIFACT_ROOT) / artifact.path
    if path.is_file():
        return files[path]
    named = {file.relative_to(path).as_posix(): digest for file, digest in files.items()}
    return files_sha256({name: digest for name, digest in named.items() if name != MANIFEST})


def _is_working(relative: Path) -> bool:
    *folders, name = relative.parts
    return (
        not WORKING_FOLDERS.isdisjoint(folders)
        or name in WORKING_FILES
        or any(part.startswith(".") or part.endswith(".partial") for part in relative.parts)
    )
