"""The training room's door: what the rounds, the gate and the reports may call."""

from __future__ import annotations

from training.runs.execution import (
    LeaseLost,
    RunBusy,
    RunCancelled,
    RunFailed,
    run_execute,
)
from training.runs.records import ModelVersionRecord, RunRecord, SnapshotRecord, record_json
from training.runs.selectors import (
    model_version_for_run,
    model_version_get,
    model_versions,
    run_artifact_path,
    run_events,
    run_get,
    run_log_tail,
    runs_of_line,
    runs_of_round,
    snapshot_get,
    snapshots,
)
from training.runs.services import (
    ArtifactMismatch,
    EmptySnapshot,
    input_from_path,
    input_from_run,
    input_from_version,
    model_version_import,
    model_version_register,
    model_version_retain,
    model_version_verify,
    run_cancel,
    run_create,
    snapshot_take,
)

__all__ = [
    "ArtifactMismatch",
    "EmptySnapshot",
    "LeaseLost",
    "ModelVersionRecord",
    "RunBusy",
    "RunCancelled",
    "RunFailed",
    "RunRecord",
    "SnapshotRecord",
    "input_from_path",
    "input_from_run",
    "input_from_version",
    "model_version_for_run",
    "model_version_get",
    "model_version_import",
    "model_version_register",
    "model_version_retain",
    "model_version_verify",
    "model_versions",
    "record_json",
    "run_artifact_path",
    "run_cancel",
    "run_create",
    "run_events",
    "run_execute",
    "run_get",
    "run_log_tail",
    "runs_of_line",
    "runs_of_round",
    "snapshot_get",
    "snapshot_take",
    "snapshots",
]
