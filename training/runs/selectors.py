"""Reads of runs, model versions and snapshots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum

from training.contracts import InputRef, RunEvent, canonical_json

from .models import ModelVersion, Run, RunState, Snapshot
from .records import (
    ModelVersionRecord,
    RunFigure,
    RunRecord,
    SnapshotRecord,
    model_version_record,
    run_record,
    snapshot_record,
)

LOG_TAIL_BYTES = 64_000


def run_get(run_id: UUID) -> RunRecord:
    return run_record(Run.objects.get(pk=run_id))


def runs_of_round(round_id: UUID) -> list[RunRecord]:
    return [run_record(run) for run in Run.objects.filter(round=round_id).order_by("created_at")]


def runs_of_line(line_id: UUID, *, limit: int = 50) -> list[RunRecord]:
    runs = Run.objects.filter(line=line_id).order_by("-created_at")[:limit]
    return [run_record(run) for run in runs]


def runs_latest(*, lines: set[UUID] | None, limit: int) -> list[RunRecord]:
    """The newest runs of the lines given (None: of every line), those of no round included."""
    runs = Run.objects.order_by("-created_at")
    if lines is not None:
        runs = runs.filter(line__in=lines)
    return [run_record(run) for run in runs[:limit]]


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
        if found == wanted and run.spec["config"] == config and run.directory.exists():
            return run_record(run)
    return None


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


def run_log_tail(run_id: UUID, *, lines: int = 40) -> str:
    """The last lines that the child printed; empty while there is no log."""
    path = Run.objects.get(pk=run_id).directory / "child.log"
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def model_version_get(version_id: UUID) -> ModelVersionRecord:
    return model_version_record(ModelVersion.objects.get(pk=version_id))


def snapshot_get(snapshot_id: UUID) -> SnapshotRecord:
    return snapshot_record(Snapshot.objects.get(pk=snapshot_id))
