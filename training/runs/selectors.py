"""Reads of runs, model versions and snapshots."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, QuerySet, Sum

from training.contracts import InputRef, RunEvent, canonical_json

from .backends import backend_of
from .models import JobReport, ModelKind, ModelVersion, Run, RunState, Snapshot
from .records import (
    ModelVersionRecord,
    RunFigure,
    RunRecord,
    SnapshotRecord,
    model_version_record,
    run_record,
    snapshot_record,
)
from .storage import StoreAway, artifact_store

LOG_TAIL_BYTES = 64_000


def run_get(run_id: UUID) -> RunRecord:
    return run_record(Run.objects.get(pk=run_id))


def runs_of_round(round_id: UUID) -> list[RunRecord]:
    return [run_record(run) for run in Run.objects.filter(round=round_id).order_by("created_at")]


def runs_of_line(line_id: UUID, *, limit: int = 50) -> list[RunRecord]:
    runs = Run.objects.filter(line=line_id).order_by("-created_at")[:limit]
    return [run_record(run) for run in runs]


def policies_kept(*, lines: set[UUID] | None, limit: int = 100) -> list[ModelVersionRecord]:
    """Policies of the lines given (None: of every line) whose files are still there, newest first."""
    rows = ModelVersion.objects.filter(kind=ModelKind.POLICY, removed_at=None)
    if lines is not None:
        rows = rows.filter(line__in=lines)
    return [model_version_record(row) for row in rows.order_by("-created_at")[:limit]]


def runs_found(*, lines: set[UUID] | None, kind: str = "", state: str = "") -> QuerySet[Run, Run]:
    """Runs of the lines given (None: of every line), those of no round included; of one kind or state."""
    runs = Run.objects.all() if lines is None else Run.objects.filter(line__in=lines)
    if kind:
        runs = runs.filter(kind=kind)
    return runs.filter(state=state) if state else runs


def run_like(
    *, kind: str, config: Mapping[str, Any], seed: int, inputs: Mapping[str, InputRef]
) -> RunRecord | None:
    """A finished run of the same order on any line: what it made is what a new run would make.

    Inputs are compared by content, so the same demonstrations in another folder are the same.
    """
    wanted = {name: ref.sha256 for name, ref in inputs.items()}
    config = json.loads(canonical_json(config))
    finished = Run.objects.filter(kind=kind, seed=seed, state=RunState.SUCCEEDED, cleared_at=None)
    for run in finished:
        found = {name: ref["sha256"] for name, ref in run.spec["inputs"].items()}
        if found == wanted and run.spec["config"] == config:
            record = run_record(run)
            if run_kept(record):
                return record
    return None


def run_kept(run: RunRecord) -> bool:
    """Whether the store has what a finished run made."""
    store = artifact_store()
    if store.shared:
        return run.directory.exists()
    return all(
        store.has(f"runs/{run.id}/{artifact['path']}", artifact["sha256"])
        for artifact in run.artifacts
    )


def run_events(run_id: UUID, *, after_seq: int = 0) -> list[RunEvent]:
    rows = Run.objects.get(pk=run_id).events.filter(seq__gt=after_seq).order_by("seq")
    return [
        RunEvent(
            seq=row.seq,
            at=row.at.isoformat(),
            phase=row.phase,
            step=row.step,
            total_steps=row.total_steps,
            metrics=row.metrics,
            message=row.message,
        )
        for row in rows
    ]


def run_figures() -> list[RunFigure]:
    """Counts by kind over all lines, for monitoring."""
    rows = Run.objects.values("kind", "state").annotate(
        count=Count("pk"), time=Sum("compute_seconds", default=0.0), starts=Sum("fence", default=0)
    )
    found: dict[str, list[Any]] = {}
    for row in rows.order_by("kind", "state"):
        found.setdefault(row["kind"], []).append(row)
    return [
        RunFigure(
            kind=kind,
            states={row["state"]: row["count"] for row in group},
            seconds=sum(row["time"] for row in group),
            attempts=sum(row["starts"] for row in group),
        )
        for kind, group in found.items()
    ]


def run_heard_at(run_id: UUID) -> datetime | None:
    """When the job of the present attempt last spoke to the site; None where it shares a folder."""
    heard = JobReport.objects.filter(run=run_id, fence=F("run__fence"))
    return heard.values_list("heard_at", flat=True).first()


def run_log_tail(run_id: UUID, *, lines: int = 40) -> str:
    """The last lines that the child printed; empty while there is no log."""
    run = Run.objects.get(pk=run_id)
    path = backend_of(run.backend).logs(run.directory)
    told = JobReport.objects.filter(run=run, fence=run.fence).exclude(log="").first()
    if told is not None:
        content = told.log.encode()
    elif path.exists():
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            content = file.read()
    else:
        content = _log_sent(run)
    return "\n".join(content.decode(errors="replace").splitlines()[-lines:])


def _log_sent(run: Run) -> bytes:
    """What the worker sent of the log when the run ended; empty for a folder store, and before."""
    if run.finished_at is None:
        return b""
    try:
        return artifact_store().note(f"{run.stored}/child.log")
    except StoreAway:
        return b""


def model_version_get(version_id: UUID) -> ModelVersionRecord:
    return model_version_record(ModelVersion.objects.get(pk=version_id))


def policies_present(version_ids: Collection[UUID]) -> list[ModelVersionRecord]:
    """Those of these versions that are policies whose files retention has not taken, oldest first."""
    found = ModelVersion.objects.filter(
        pk__in=version_ids, kind=ModelKind.POLICY, removed_at__isnull=True
    )
    return [model_version_record(version) for version in found.order_by("created_at", "pk")]


def model_version_names(version_ids: Collection[UUID]) -> dict[UUID, str]:
    """Version -> its name; one query."""
    return dict(ModelVersion.objects.filter(pk__in=version_ids).values_list("pk", "name"))


def model_names_of_run(run_id: UUID) -> dict[UUID, str]:
    """The versions that were registered of what a run made, with their names, oldest first."""
    made = ModelVersion.objects.filter(run=run_id, removed_at=None).order_by("created_at")
    return dict(made.values_list("pk", "name"))


def snapshot_rows(snapshot_ids: Collection[UUID]) -> dict[UUID, int]:
    """Snapshot -> how many labels it holds; one query."""
    return dict(Snapshot.objects.filter(pk__in=snapshot_ids).values_list("pk", "rows"))


def snapshot_get(snapshot_id: UUID) -> SnapshotRecord:
    return snapshot_record(Snapshot.objects.get(pk=snapshot_id))
