"""What the training room tells others: frozen records, no model instances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from training.contracts import JobStanding
from web.records import record_of

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
    """`results` and `artifacts` are empty until the run has finished; `job` is there where a scheduler has
    or had one for it, `job_attached` where it carries out the present attempt."""

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
    backend: str = "local"
    job_id: str = ""
    job: JobStanding | None = None
    job_attached: bool = False


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
    return record_of(ModelVersionRecord, version, path=version.directory)


def run_record(run: Run) -> RunRecord:
    manifest = run.manifest or {}
    return record_of(
        RunRecord,
        run,
        attempts=run.fence,
        seconds=run.compute_seconds,
        results=manifest.get("results", {}),
        artifacts=tuple(manifest.get("artifacts", ())),
        environment=manifest.get("environment", {}),
        cancel_requested=run.cancel_requested_at is not None,
        job=JobStanding.from_json(run.job) if run.job else None,
        job_attached=run.job_fence is not None and run.job_fence == run.fence,
    )


def snapshot_record(snapshot: Snapshot) -> SnapshotRecord:
    return record_of(SnapshotRecord, snapshot, path=snapshot.file)
