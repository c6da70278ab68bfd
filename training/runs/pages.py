"""What the run templates are given: plain values, gathered here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.forms import Field
from django.http import QueryDict
from django.utils import timezone

from web.paging import page_by_key
from web.registry import line_name, line_names, round_place
from web.tables import Sort, choice_filter, table_asked

from . import selectors
from .backends import backend_title
from .charts import RunChart, number, run_charts
from .models import RunState
from .progress import RunAlarm, Standing, run_alarm, standing
from .records import RunRecord, run_record
from .wording import KINDS, ending_words, figure_words, job_words, kind_words, phase_words

SHOWN = 50
NEWEST = Sort("newest first", ("-created_at", "-id"))
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


def runs_context(allowed: set[UUID] | None, query: QueryDict) -> dict[str, Any]:
    """The page of runs that `query` (request.GET) asks for."""
    table = table_asked(query, sorts={"newest": NEWEST}, filters=_filters())
    runs = selectors.runs_found(lines=allowed, **table.chosen)
    page = page_by_key(runs, query=query, fields=table.fields, size=SHOWN)
    names = {line.id: line.name for line in line_names()}
    shown = [_row(run_record(run), None, names.get(run.line, "")) for run in page.rows]
    return {"rows": shown, "page": page, "table": table}


def _filters() -> dict[str, Field]:
    kinds = [(kind, kind_words(kind)) for kind in KINDS]
    return {
        "kind": choice_filter("Program", kinds, every="any"),
        "state": choice_filter("State", list(RunState.choices), every="any"),
    }


@dataclass(frozen=True)
class JobShown:
    """A job of `scheduler` on a page: how it stands, since when, and that the scheduler is silent, if it is.

    `waits`: its program is not at work; nobody watches a bar meanwhile.
    """

    scheduler: str
    says: str
    since: datetime | None
    waits: bool
    silence: str
    silent_since: datetime | None


@dataclass(frozen=True)
class RunFollowed:
    """A run as pages follow it: where it stands, its charts, the last figures with their names.

    `heard`: when its job spoke to the site, which one without a shared folder does."""

    run: RunRecord
    title: str
    live: bool
    phase: str
    standing: Standing | None
    alarm: RunAlarm | None
    charts: list[RunChart]
    figures: list[tuple[str, str]]
    log: str
    job: JobShown | None
    heard: datetime | None


def run_followed(run: RunRecord) -> RunFollowed:
    events, job = selectors.run_events(run.id), _job(run)
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
        job=job,
        heard=selectors.run_heard_at(run.id) if job else None,
    )


def _job(run: RunRecord) -> JobShown | None:
    """While the run is under way; what became of a job since is not asked any more."""
    if run.job is None or run.state not in (RunState.PENDING, RunState.RUNNING):
        return None
    if run.state == RunState.PENDING and not run.job_attached:
        return None
    scheduler = backend_title(run.backend)
    return JobShown(
        scheduler=scheduler,
        says=job_words(run.job, run.job_id, scheduler),
        since=_moment(run.job.since),
        waits=run.job.phase in ("submitting", "queued", "preempted"),
        silence=run.job.silence,
        silent_since=_moment(run.job.silent_since),
    )


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def run_context(run: RunRecord) -> dict[str, Any]:
    followed = run_followed(run)
    return {
        "run": run,
        "followed": followed,
        "row": _row(run, followed.alarm, line_name(run.line_id)),
        "scheduler": backend_title(run.backend),
        "live": "2s" if followed.live else "",
        "stopping": followed.live and run.cancel_requested,
        "models": selectors.model_names_of_run(run.id),
        "results": _results(run.results),
        "round": round_place(run.round_id),
    }


def _row(run: RunRecord, alarm: RunAlarm | None, line: str) -> RunRow:
    stopped = alarm is not None and run.state == RunState.SUCCEEDED
    job = _job(run)
    word = "In the queue" if job and job.waits else RunState(run.state).label
    return RunRow(
        id=run.id,
        title=kind_words(run.kind),
        line=line,
        meaning="attention"
        if stopped
        else "waiting"
        if job and job.waits
        else MEANINGS[RunState(run.state)],
        word="Stopped by an alarm" if stopped else word,
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
