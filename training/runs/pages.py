"""What the run templates are given: plain values, gathered here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from web.registry import line_name, line_names, round_place

from . import selectors
from .charts import RunChart, number, run_charts
from .models import RunState
from .progress import RunAlarm, Standing, run_alarm, standing
from .records import RunRecord
from .wording import ending_words, figure_words, kind_words, phase_words

SHOWN = 60
LOG_LINES = 40
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


@dataclass(frozen=True)
class RunFollowed:
    """A run as pages follow it: where it stands, its charts, the last figures with their names."""

    run: RunRecord
    title: str
    live: bool
    phase: str
    standing: Standing | None
    alarm: RunAlarm | None
    charts: list[RunChart]
    figures: list[tuple[str, str]]
    log: str


def run_followed(run: RunRecord) -> RunFollowed:
    events = selectors.run_events(run.id)
    stands = standing(events, now=timezone.now())
    return RunFollowed(
        run=run,
        title=kind_words(run.kind),
        live=run.state in (RunState.PENDING, RunState.RUNNING),
        phase=phase_words(stands.phase) if stands else "",
        standing=stands,
        alarm=run_alarm(events),
        charts=run_charts(events),
        figures=_figures(events),
        log=selectors.run_log_tail(run.id, lines=LOG_LINES),
    )


def run_context(run: RunRecord) -> dict[str, Any]:
    followed = run_followed(run)
    return {
        "run": run,
        "followed": followed,
        "row": _row(run, followed.alarm, line_name(run.line_id)),
        "live": "2s" if followed.live else "",
        "stopping": followed.live and run.cancel_requested,
        "results": _results(run.results),
        "round": round_place(run.round_id),
    }


def _row(run: RunRecord, alarm: RunAlarm | None, line: str) -> RunRow:
    stopped = alarm is not None and run.state == RunState.SUCCEEDED
    return RunRow(
        id=run.id,
        title=kind_words(run.kind),
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
                (figure_words(name), "not a number" if value is None else number(value))
                for name, value in event.metrics.items()
            ]
    return []


def _results(results: dict[str, Any]) -> list[tuple[str, str]]:
    """The plain values among the results; tables and nested figures stay in the manifest."""
    return [
        (figure_words(name), _value(name, value))
        for name, value in results.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]


def _value(name: str, value: str | float) -> str:
    if isinstance(value, str):
        return ending_words(value) if name == "stopped_by" else value
    return number(value)
