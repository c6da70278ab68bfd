"""Writes of the training room: ordering and cancelling runs, registering models, taking snapshots."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from annotation import facade as annotation
from annotation.contracts import SnapshotRecipe
from training.chat_templates import TemplateSettingsError, template_files_fix
from training.contracts import InputRef, RunManifest, RunSpec, TemplateValue, canonical_json
from training.digests import DigestError, artifact_verify, nothing, path_sha256
from web.files import file_written, rights_share

from .inventory import StoredArtifact, input_path, order_path, store_path
from .models import ModelKind, ModelVersion, Retention, Run, RunState, Snapshot
from .records import (
    ModelVersionRecord,
    RunRecord,
    SnapshotRecord,
    model_version_record,
    run_record,
    snapshot_record,
)
from .sources import sources_as_inputs
from .storage import Held, StoreAway, StoreSettings, artifact_store
from .storage.folder_store import HeldFolder


class ArtifactMismatch(RuntimeError):
    """An artifact is not what its hash says, or cannot be read; the message names the file."""


class EmptySnapshot(RuntimeError):
    """There is nothing to learn from; the message says what is missing."""


def run_create(
    *,
    line_id: UUID,
    kind: str,
    seed: int,
    config: Mapping[str, Any],
    inputs: Mapping[str, InputRef],
    round_id: UUID | None = None,
    models_anywhere: bool = False,
) -> RunRecord:
    """Order a run; it waits until a worker executes it. The spec is frozen from here on.

    Raises `ContractError` for a pretrained model outside OUTERLOOP_MODEL_FOLDERS, or a function outside
    OUTERLOOP_REWARD_MODULES, unless an operator at the terminal asks for it (`models_anywhere`).
    """
    run_id = uuid4()
    config, inputs = sources_as_inputs(config, inputs, anywhere=models_anywhere)
    spec = RunSpec.from_json(
        {
            "run_id": str(run_id),
            "kind": kind,
            "seed": seed,
            "inputs": {
                name: {**asdict(ref), "path": order_path(ref.path)} for name, ref in inputs.items()
            },
            "config": dict(config),
        }
    )
    run = Run.objects.create(
        id=run_id,
        line=line_id,
        round=round_id,
        kind=kind,
        seed=seed,
        spec=spec.to_json(),
        spec_sha256=spec.sha256(),
    )
    return run_record(run)


def run_cancel(*, run_id: UUID) -> None:
    """Ask a run to stop: a waiting one ends here, a running one when its watcher sees the flag.

    A job of it that no worker looks after is ended by the sweep."""
    now = timezone.now()
    waiting = Run.objects.filter(pk=run_id, state=RunState.PENDING)
    unbegun = waiting.filter(started_at=None).update(
        state=RunState.CANCELLED, finished_at=now, error="Cancelled before it began."
    )
    if not unbegun and not waiting.update(
        state=RunState.CANCELLED, finished_at=now, error="Cancelled while it waited for a worker."
    ):
        Run.objects.filter(pk=run_id, state=RunState.RUNNING).update(cancel_requested_at=now)


def run_take_up(*, run_id: UUID) -> None:
    """Let a cancelled run go on from its last checkpoint, and forget a cancelling nobody carried out."""
    unfinished = Run.objects.filter(pk=run_id).exclude(state=RunState.SUCCEEDED)
    unfinished.update(cancel_requested_at=None)
    unfinished.filter(state=RunState.CANCELLED).update(
        state=RunState.PENDING, finished_at=None, error=""
    )


def input_from_path(path: Path) -> InputRef:
    """A file or folder on this machine; what lies in the artifact store's folder is kept there."""
    reference = InputRef(path=str(path.resolve()), sha256=path_sha256(path))
    stored = order_path(reference.path)
    if not Path(stored).is_absolute():
        with _named(stored):
            artifact_store().keep(stored, reference.sha256)
    return reference


def input_from_snapshot(snapshot: SnapshotRecord) -> InputRef:
    return InputRef(path=str(snapshot.path), sha256=snapshot.sha256)


def input_from_version(version: ModelVersionRecord) -> InputRef:
    return InputRef(path=str(version.path), sha256=version.sha256)


def input_from_run(run: RunRecord, name: str) -> InputRef:
    for artifact in run.artifacts:
        if artifact["name"] == name:
            return InputRef(path=str(run.directory / artifact["path"]), sha256=artifact["sha256"])
    raise LookupError(f"The run {run.kind} {str(run.id)[:8]} made no artifact {name!r}.")


def input_of_run(run: RunRecord, name: str) -> InputRef:
    """What the run read under this name, where it lies now."""
    reference = InputRef.from_json(run.spec["inputs"][name])
    return replace(reference, path=str(input_path(reference.path)))


def input_local(reference: InputRef) -> Path:
    """Where it lies on this machine, fetched from the store first where it has to be; to be read at once.

    Raises `ArtifactMismatch` where it cannot be fetched."""
    stored = store_path(reference.path)
    if stored is None:
        return Path(reference.path)
    with _named(stored):
        return artifact_store().local(stored, reference.sha256)


def artifact_found(stored: str) -> bool:
    """Whether something lies at this path of the store's folder, fetched first where another machine made it."""
    if (Path(settings.ARTIFACT_ROOT) / stored).exists():
        return True
    with _named(stored):
        store = artifact_store()
        digest = store.digest(stored)
        if digest is not None:
            store.local(stored, digest)
    return digest is not None


def artifact_hold(artifact: StoredArtifact) -> Held:
    """Its files on this machine until they are released, fetched first where they have to be; of what has no
    digest (a run's log and events) what is here. Raises `ArtifactMismatch`."""
    if not artifact.sha256:
        return HeldFolder(Path(settings.ARTIFACT_ROOT) / artifact.path)
    with _named(artifact.name):
        return artifact_store().hold(artifact.path, artifact.sha256)


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except (DigestError, StoreAway, StoreSettings) as error:
        raise ArtifactMismatch(f"{name}: {error}") from error


@transaction.atomic
def model_version_register(
    *,
    run_id: UUID,
    artifact: str,
    parent_id: UUID | None = None,
    meta: Mapping[str, Any] | None = None,
) -> ModelVersionRecord:
    """Enter an artifact of a finished run in the registry; calling twice returns the same version."""
    run = Run.objects.select_for_update().get(pk=run_id)
    entry = RunManifest.from_json(run.manifest).artifact(artifact)
    existing = ModelVersion.objects.filter(run=run, kind=entry.kind).first()
    if existing is not None:
        return model_version_record(existing)
    number = _next_number(run.line, entry.kind)
    version = ModelVersion.objects.create(
        line=run.line,
        kind=entry.kind,
        number=number,
        name=f"{ModelKind(entry.kind).label.lower()} v{number}",
        path=str((run.directory / entry.path).relative_to(settings.ARTIFACT_ROOT)),
        sha256=entry.sha256,
        run=run,
        parent_id=parent_id,
        meta=dict(meta or {}),
    )
    return model_version_record(version)


def model_version_import(
    *,
    line_id: UUID,
    kind: str,
    path: Path,
    name: str,
    chat_template_kwargs: Mapping[str, TemplateValue] | None = None,
    beat: Callable[[], None] = nothing,
) -> ModelVersionRecord:
    """Copy a local Hugging Face model folder into the store and enter it in the registry.

    The copy's chat template gets `chat_template_kwargs` and a day of its own (`training.chat_templates`),
    so that training and every server render alike. Raises `ArtifactMismatch` when the folder is not there
    or holds no safetensors: other weight formats can carry code and are never loaded; and for settings
    that its chat template does not read. Copying and hashing may take minutes: `beat` is called meanwhile,
    and what it raises ends the import, of which nothing stays.
    """
    if not (path / "config.json").is_file():
        raise ArtifactMismatch(
            f"{path} holds no config.json; name a folder in Hugging Face layout."
        )
    if not list(path.glob("*.safetensors")):
        raise ArtifactMismatch(
            f"{path} holds no .safetensors file. Only safetensors are loaded; convert the weights"
            " with save_pretrained(..., safe_serialization=True)."
        )
    relative = Path("models") / str(uuid4())
    target = Path(settings.ARTIFACT_ROOT) / relative
    partial = target.with_suffix(".partial")
    try:
        _model_copy(path, partial, beat)
        template_files_fix(partial, chat_template_kwargs or {})
        sha256 = path_sha256(partial, beat=beat)
        partial.rename(target)
    except TemplateSettingsError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ArtifactMismatch(str(error)) from error
    except Exception:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    with _named(name):
        artifact_store().keep(str(relative), sha256, watch=lambda done, total: beat())
    with transaction.atomic():
        number = _next_number(line_id, kind)
        version = ModelVersion.objects.create(
            line=line_id,
            kind=kind,
            number=number,
            name=name,
            path=str(relative),
            sha256=sha256,
            meta={"imported_from": str(path)}
            | (
                {"chat_template_kwargs": dict(chat_template_kwargs)} if chat_template_kwargs else {}
            ),
        )
    return model_version_record(version)


def _model_copy(path: Path, partial: Path, beat: Callable[[], None]) -> None:
    """Everything but code and formats that can carry it. shutil hides the first error in a list."""

    def copied(source: str, target: str) -> str:
        beat()
        return shutil.copy2(source, target)

    skipped = shutil.ignore_patterns("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.py", ".git")
    try:
        shutil.copytree(path, partial, ignore=skipped, copy_function=copied)
    except shutil.Error as error:
        source, _, reason = error.args[0][0]
        raise OSError(errno.EIO, f"{source}: {reason}", str(partial)) from error
    rights_share(partial, like=partial.parent)


def _next_number(line_id: UUID, kind: str) -> int:
    highest = ModelVersion.objects.filter(line=line_id, kind=kind).aggregate(
        highest=models.Max("number")
    )["highest"]
    return int(highest or 0) + 1


def model_version_verify(version_id: UUID) -> None:
    """Raise `ArtifactMismatch` unless the store holds the version as it was recorded: a folder is read again,
    of objects there are all, of their sizes (their content is checked when it is fetched)."""
    version = _version_stored(version_id)
    with _named(version.name):
        artifact_store().check(version.path, version.sha256)


def model_version_hold(version_id: UUID) -> Held:
    """The version's folder on this machine, verified, fetched first where it has to be; it stays until it is
    released. Raises `ArtifactMismatch`."""
    version = _version_stored(version_id)
    with _named(version.name):
        held = artifact_store().hold(version.path, version.sha256)
        try:
            artifact_verify(held.path, version.sha256)
        except DigestError:
            held.release()
            raise
    return held


def _version_stored(version_id: UUID) -> ModelVersion:
    version = ModelVersion.objects.get(pk=version_id)
    if version.removed_at is not None:
        raise ArtifactMismatch(
            f"{version.name}: its files were removed by retention on {version.removed_at:%Y-%m-%d}."
            " Bring them back from a backup, or choose another version."
        )
    return version


def model_version_retain(*, version_id: UUID, reason: str) -> None:
    Retention.objects.get_or_create(version_id=version_id, reason=reason)


def snapshot_take(*, line_id: UUID, recipe: SnapshotRecipe) -> SnapshotRecord:
    """Write every preference that `recipe` selects to one file named by its hash.

    The same labels give the same snapshot. Raises `EmptySnapshot` when nothing is selected.
    """
    folder = Path(settings.ARTIFACT_ROOT) / "snapshots"
    unnamed = folder / f".{uuid4().hex}"
    with file_written(unnamed) as file:
        digest, rows, counts = _preferences_write(file, line_id, recipe)
        if rows == 0:
            raise EmptySnapshot(
                "There are no labels to learn from: no active judgment with purpose 'training' on this"
                " line. Label some pairs, or import judged pairs."
            )
    name = f"{digest}.jsonl"
    unnamed.rename(folder / name)
    with _named(f"snapshot {digest[:12]}"):
        artifact_store().keep(f"snapshots/{name}", digest)
    snapshot, _ = Snapshot.objects.get_or_create(
        line=line_id,
        sha256=digest,
        defaults={
            "recipe": asdict(recipe),
            "path": f"snapshots/{name}",
            "rows": rows,
            "counts": counts,
        },
    )
    return snapshot_record(snapshot)


def _preferences_write(
    file: Any, line_id: UUID, recipe: SnapshotRecipe
) -> tuple[str, int, dict[str, Any]]:
    digest, rows = hashlib.sha256(), 0
    splits: Counter[str] = Counter()
    raters: Counter[str] = Counter()
    writers: Counter[str] = Counter()
    ties = released = 0
    for row in annotation.preferences_stream(line_id=line_id, recipe=recipe):
        line = (canonical_json(row.to_json()) + "\n").encode()
        digest.update(line)
        file.write(line)
        rows += 1
        splits[row.split] += 1
        raters[row.rater] += 1
        writers.update(writer.model for writer in row.writers if writer.model)
        ties += row.preference == 0.5
        released += row.purpose == "gate"
    counts = {
        "splits": dict(splits),
        "raters": dict(raters),
        "ties": ties,
        "released": released,
    }
    if recipe.writers:
        counts["writers"] = dict(writers)
    return digest.hexdigest(), rows, counts
