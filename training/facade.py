"""The training room's door: what the rounds, the gate and the reports may call."""

from __future__ import annotations

from training.chat_templates import control_pattern, messages_controls_broken
from training.model_files import ModelFilesError, model_folder_check
from training.runs.asking import program_ask
from training.runs.backends import SchedulerAway, job_order
from training.runs.backends.kubernetes_check import cluster_check
from training.runs.backends.slurm import slurm_partitions
from training.runs.charts import Line, RunChart, curve_chart
from training.runs.checking import ModelUnfit, model_check
from training.runs.claims import LeaseLost, RunBusy
from training.runs.execution import (
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
from training.runs.job_preview import JobPreview, job_previews
from training.runs.jobs import jobs_sweep
from training.runs.launching import LaunchError, accelerate_config, child_environment
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
    model_version_names,
    policies_kept,
    policies_present,
    run_events,
    run_figures,
    run_get,
    run_kept,
    run_like,
    runs_of_line,
    runs_of_round,
    snapshot_get,
    snapshot_rows,
)
from training.runs.sending import artifacts_bytes, artifacts_send, store_holds
from training.runs.services import (
    ArtifactMismatch,
    EmptySnapshot,
    artifact_found,
    artifact_hold,
    input_from_path,
    input_from_run,
    input_from_snapshot,
    input_from_version,
    input_local,
    input_of_run,
    model_version_hold,
    model_version_import,
    model_version_register,
    model_version_retain,
    model_version_verify,
    run_cancel,
    run_create,
    run_take_up,
    snapshot_take,
)
from training.runs.sources import (
    model_folder_named,
    model_folders_found,
    sources_as_inputs,
    sources_check,
)
from training.runs.storage import Held, StoreAway, StoreMissing, StoreSettings
from training.runs.storage.cache import FOLDER as CACHE_FOLDER
from training.runs.store import MARKER as STORE_MARKER
from training.runs.store import PROBE as STORE_PROBE
from training.runs.store import store_enter, store_problem
from training.runs.wording import ending_words, phase_words

__all__ = [
    "ALARM_NAMES",
    "CACHE_FOLDER",
    "STORE_MARKER",
    "STORE_PROBE",
    "ArtifactMismatch",
    "EmptySnapshot",
    "Held",
    "JobPreview",
    "Kept",
    "LaunchError",
    "LeaseLost",
    "Line",
    "ModelFilesError",
    "ModelUnfit",
    "ModelVersionRecord",
    "Removable",
    "Reproduction",
    "ReproductionFailed",
    "RunAlarm",
    "RunBusy",
    "RunCancelled",
    "RunChart",
    "RunFailed",
    "RunFollowed",
    "RunRecord",
    "SchedulerAway",
    "SnapshotRecord",
    "StoreAway",
    "StoreMissing",
    "StoreSettings",
    "StoredArtifact",
    "accelerate_config",
    "artifact_found",
    "artifact_hold",
    "artifact_remove",
    "artifacts_bytes",
    "artifacts_send",
    "artifacts_stored",
    "child_environment",
    "cluster_check",
    "control_pattern",
    "curve_chart",
    "ending_words",
    "input_from_path",
    "input_from_run",
    "input_from_snapshot",
    "input_from_version",
    "input_local",
    "input_of_run",
    "job_order",
    "job_previews",
    "jobs_sweep",
    "messages_controls_broken",
    "model_check",
    "model_folder_check",
    "model_folder_named",
    "model_folders_found",
    "model_version_get",
    "model_version_hold",
    "model_version_import",
    "model_version_names",
    "model_version_register",
    "model_version_retain",
    "model_version_verify",
    "phase_words",
    "policies_kept",
    "policies_present",
    "program_ask",
    "removable_artifacts",
    "run_cancel",
    "run_create",
    "run_events",
    "run_execute",
    "run_figures",
    "run_followed",
    "run_get",
    "run_kept",
    "run_like",
    "run_reproduce",
    "run_take_up",
    "runs_of_line",
    "runs_of_round",
    "slurm_partitions",
    "snapshot_get",
    "snapshot_rows",
    "snapshot_take",
    "sources_as_inputs",
    "sources_check",
    "store_enter",
    "store_holds",
    "store_problem",
    "stored_digest",
    "stored_files",
]
