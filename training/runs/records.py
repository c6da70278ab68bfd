"""What the training room tells others: frozen records, no model instances."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from .models import ModelVersion, Run, Snapshot


@dataclass(frozen=True)
class ModelVersionRecord:
    id: UUID
    line_id: UUID
    kind: str
    name: str
    number: int
    path: Path
    sha256: str
    run_id: UUID | None
    parent_id: UUID | None
    created_at: datetime
    meta: dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """`results` and `artifacts` are empty until the run has finished."""

    id: UUID
    line_id: UUID
    round_id: UUID | None
    kind: str
    state: str
    seed: int
    spec: dict[str, Any]
    spec_sha256: str
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float
    results: dict[str, Any]
    artifacts: tuple[dict[str, Any], ...]
    environment: dict[str, Any]
    error: str
    directory: Path
    cancel_requested: bool = False


@dataclass(frozen=True)
class SnapshotRecord:
    id: UUID
    line_id: UUID
    sha256: str
    path: Path
    rows: int
    recipe: dict[str, Any]
    counts: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class RunFigure:
    """Of one kind of run: how many are in which state, seconds at work, starts of the program."""

    kind: str
    states: dict[str, int]
    seconds: float
    attempts: int


def model_version_record(version: ModelVersion) -> ModelVersionRecord:
    return ModelVersionRecord(
        id=version.id,
        line_id=version.line,
        kind=version.kind,
        name=version.name,
        number=version.number,
        path=version.directory,
        sha256=version.sha256,
        run_id=version.run_id,
        parent_id=version.parent_id,
        created_at=version.created_at,
        meta=version.meta,
    )


def run_record(run: Run) -> RunRecord:
    manifest = run.manifest or {}
    return RunRecord(
        id=run.id,
        line_id=run.line,
        round_id=run.round,
        kind=run.kind,
        state=run.state,
        seed=run.seed,
        spec=run.spec,
        spec_sha256=run.spec_sha256,
        attempts=run.fence,
        started_at=run.started_at,
        finished_at=run.finished_at,
        seconds=run.compute_seconds,
        results=manifest.get("results", {}),
        artifacts=tuple(manifest.get("artifacts", ())),
        environment=manifest.get("environment", {}),
        error=run.error,
        directory=run.directory,
        cancel_requested=run.cancel_requested_at is not None,
    )


def snapshot_record(snapshot: Snapshot) -> SnapshotRecord:
    return SnapshotRecord(
        id=snapshot.id,
        line_id=snapshot.line,
        sha256=snapshot.sha256,
        path=snapshot.file,
        rows=snapshot.rows,
        recipe=snapshot.recipe,
        counts=snapshot.counts,
        created_at=snapshot.created_at,
    )


def record_json(record: Any) -> dict[str, Any]:
    """A record as plain JSON values, for lineage and logs."""
    return {
        key: str(value) if isinstance(value, UUID | Path | datetime) else value
        for key, value in dataclasses.asdict(record).items()
    }
