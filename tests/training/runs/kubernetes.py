"""A cluster for the tests of this room, and runs whose programs are Jobs of it."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.support import scheduler_runs
from tests.support.kubernetes_stand_in import NAMESPACE, KubernetesStandIn
from training.contracts import JobPlan, JobResources
from training.runs.execution import run_execute
from training.runs.models import Run

KUBERNETES = JobPlan(backend="kubernetes", every_step=JobResources(minutes=10))
IMAGE = "registry.example.org/outerloop-trainer:1"

kill_worker_at = partial(scheduler_runs.kill_worker_at, jobs=KUBERNETES)
Worker = partial(scheduler_runs.Worker, jobs=KUBERNETES)


def execute(run: Run, **options: Any) -> Any:
    return run_execute(run_id=run.id, owner="w", **{"jobs": KUBERNETES, **options})


def job_name(run: Run, attempt: int = 1) -> str:
    return f"outerloop-{run.id}-{attempt}"


def stand_in_start(folder: Path) -> KubernetesStandIn:
    """Its pods find the checkout and the interpreter of this process, as if the image had them."""
    return KubernetesStandIn(folder, {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"})


def cluster_settings(stand_in: KubernetesStandIn) -> dict[str, Any]:
    """Name -> value, without the beginning OUTERLOOP_KUBERNETES_."""
    return {
        "CONFIG": str(stand_in.kubeconfig),
        "NAMESPACE": NAMESPACE,
        "IMAGE": IMAGE,
        "CLAIM": "store",
        "FOLDER": str(settings.BASE_DIR),
        "PYTHON": sys.executable,
        "SECONDS": 3,
    }


def worked_at_once(run: Run) -> int:
    """The most programs that ever held the run's directory at one moment, by what each noted of itself."""
    lines = (run.directory / "journal.jsonl").read_text().splitlines()
    spans: dict[int, list[float]] = {}
    for line in map(json.loads, lines):
        spans.setdefault(line["pid"], []).append(line["at"])
    moments = [moment for span in spans.values() for moment in span]
    return max(sum(min(s) <= moment <= max(s) for s in spans.values()) for moment in moments)
