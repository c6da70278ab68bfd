"""Which files of the artifact store the database refers to, for backups and retention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from training.digests import MANIFEST, files_sha256

from .models import ModelVersion, Run, RunState, Snapshot

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
# What a program needs only while it works, and what a kill left half written.
WORKING_FOLDERS = frozenset({"checkpoints"})
WORKING_FILES = frozenset({"lock", "fence", "cancel"})


@dataclass(frozen=True)
class StoredArtifact:
    """A file or directory below the store; `path` is relative to it.

    `sha256` is the recorded digest, empty where none was recorded (a run's log and events).
    """

    name: str
    path: str
    sha256: str


def artifacts_stored() -> Iterator[StoredArtifact]:
    """Everything that a row refers to: model versions, snapshots, inputs and results of ended runs."""
    for version in ModelVersion.objects.order_by("path"):
        yield StoredArtifact(f"model {version.name}", version.path, version.sha256)
    for snapshot in Snapshot.objects.order_by("path"):
        yield StoredArtifact(str(snapshot), snapshot.path, snapshot.sha256)
    for run in Run.objects.order_by("created_at"):
        yield from _of_run(run)


def _of_run(run: Run) -> Iterator[StoredArtifact]:
    store = Path(settings.ARTIFACT_ROOT)
    for name, reference in run.spec.get("inputs", {}).items():
        path = Path(reference["path"])
        if path.is_relative_to(store):
            relative = path.relative_to(store).as_posix()
            yield StoredArtifact(f"input {name} of run {run}", relative, reference["sha256"])
    if run.state not in ENDED:
        return  # still being written; after a restore it begins again
    folder = run.directory.relative_to(store).as_posix()
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
