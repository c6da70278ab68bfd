"""The training room's door: what the rounds, the gate and the reports may call."""

from __future__ import annotations

from training.model_files import ModelFilesError, model_folder_check
from training.runs.execution import (
    LeaseLost,
    RunBusy,
    RunCancelled,
    RunFailed,
    run_execute,
)
from training.runs.inventory import (
    StoredArtifact,
    artifacts_stored,
    stored_digest,
    stored_files,
)
from training.runs.launching import LaunchError, accelerate_config
from training.runs.pages import RunFollowed, run_followed
from training.runs.progress import ALARM_NAMES, RunAlarm
from training.runs.records import (
    ModelVersionRecord,
    RunRecord,
    SnapshotRecord,
)
from training.runs.reproducing import Reproduction, ReproductionFailed, run_reproduce
from training.runs.retention import Kept, Removable, artifact_remove, removable_artifacts
from training.runs.selectors import (
    model_version_get,
    run_events,
    run_figures,
    run_get,
    run_like,
    runs_of_line,
    runs_of_round,
    snapshot_get,
)
from training.runs.services import (
    ArtifactMismatch,
    EmptySnapshot,
    input_from_path,
    input_from_run,
    input_from_version,
    input_of_run,
    model_version_import,
    model_version_register,
    model_version_retain,
    model_version_verify,
    run_cancel,
    run_create,
    run_take_up,
    snapshot_take,
)
from training.runs.wording import ending_words, phase_words

__all__ = [
    "ALARM_NAMES",
    "ArtifactMismatch",
    "EmptySnapshot",
    "Kept",
    "LaunchError",
    "LeaseLost",
    "ModelFilesError",
    "ModelVersionRecord",
    "Removable",
    "Reproduction",
    "ReproductionFailed",
    "RunAlarm",
    "RunBusy",
    "RunCancelled",
    "RunFailed",
    "RunFollowed",
    "RunRecord",
    "SnapshotRecord",
    "StoredArtifact",
    "accelerate_config",
    "artifact_remove",
    "artifacts_stored",
    "ending_words",
    "input_from_path",
    "input_from_run",
    "input_from_version",
    "input_of_run",
    "model_folder_check",
    "model_version_get",
    "model_version_import",
    "model_version_register",
    "model_version_retain",
    "model_version_verify",
    "phase_words",
    "removable_artifacts",
    "run_cancel",
    "run_create",
    "run_events",
    "run_execute",
    "run_figures",
    "run_followed",
    "run_get",
    "run_like",
    "run_reproduce",
    "run_take_up",
    "runs_of_line",
    "runs_of_round",
    "snapshot_get",
    "snapshot_take",
    "stored_digest",
    "stored_files",
]
