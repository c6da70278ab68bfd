"""What the run templates are given: plain values, gathered here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from web.registry import line_name, line_names, round_place

from . import selectors
from .charts import number, run_charts
from .models import RunState
from .progress import RunAlarm, run_alarm, standing
from .records import RunRecord

SHOWN = 60
LOG_LINES = 40
KINDS = {
    "sft": "Supervised fine-tuning",
    "reward_model": "Reward models",
    "ppo": "Policy by PPO",
    "dpo": "Policy by DPO",
    "best_of_n": "Policy by best-of-n",
    "sample_pairs": "Writing pairs",
    "evaluate_reward_model": "Measuring the reward model",
    "evaluate_policy": "Measuring the policy",
}
MEANINGS = {
    RunState.PENDING: "waiting",
    RunState.RUNNING: "running",
    RunState.SUCCEEDED: "good",
    RunState.FAILED: "bad",
    RunState.CANCELLED: "neutral",
}


@dataclass(frozen=True)
class RunRow:
    """A run as one line of the list, and as the heading of its own page."""

    id: UUID
    title: str
    line: str
    meaning: str
    word: str
    started: datetime | None
    seconds: float
    error: str


def runs_context(allowed: set[UUID] | None) -> dict[str, Any]:
    runs = selectors.runs_latest(lines=allowed, limit=SHOWN)
    names = {line.id: line.name for line in line_names()}
    return {"rows": [_row(run, None, names.get(run.line_id, "")) for run in runs]}


def run_context(run: RunRecord) -> dict[str, Any]:
    events = selectors.run_events(run.id)
    live = run.state in (RunState.PENDING, RunState.RUNNING)
    alarm = run_alarm(events)
    return {
        "run": run,
        "row": _row(run, alarm, line_name(run.line_id)),
        "alarm": alarm,
        "live": live,
        "stopping": live and run.cancel_requested,
        "standing": standing(events, now=timezone.now()),
        "charts": run_charts(events),
        "figures": _figures(events),
        "results": _results(run.results),
        "log": selectors.run_log_tail(run.id, lines=LOG_LINES),
        "round": round_place(run.round_id),
    }


def _row(run: RunRecord, alarm: RunAlarm | None, line: str) -> RunRow:
    stopped = alarm is not None and run.state == RunState.SUCCEEDED
    return RunRow(
        id=run.id,
        title=KINDS.get(run.kind, run.kind.replace("_", " ").capitalize()),
        line=line,
        meaning="attention" if stopped else MEANINGS[RunState(run.state)],
        word="Stopped by an alarm" if stopped else RunState(run.state).label,
        started=run.started_at,
        seconds=run.seconds,
        error=run.error,
    )


def _figures(events: Any) -> list[tuple[str, str]]:
    """The numbers of the last event that has some."""
    for event in reversed(events):
        if event.metrics:
            return [
                (name.replace("_", " "), "not a number" if value is None else number(value))
                for name, value in event.metrics.items()
            ]
    return []


def _results(results: dict[str, Any]) -> list[tuple[str, str]]:
    """The plain values among the results; tables and nested figures stay in the manifest."""
    return [
        (name.replace("_", " "), number(value) if isinstance(value, float) else str(value))
        for name, value in results.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
