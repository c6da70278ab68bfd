"""What the line and round templates are given: plain values, gathered here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from annotation import facade as annotation
from evaluation import facade as evaluation
from training import facade as training
from web.access import ENGINEER, LEAD, roles_of

from .models import ENDS, WAITING, PolicyLine, Round, RoundStep, State
from .overriding import overridable_checks
from .schedule import next_start
from .selectors import active_round, failed_step, fresh_labels, last_round, steps_of

ROUNDS_SHOWN = 20
MEANINGS = {"PROMOTE": "good", "REJECT": "bad", "INCONCLUSIVE": "attention"}
STATION_STATES = {
    "reward": (State.SNAPSHOT, State.REWARD_TRAINING, State.REWARD_EVALUATION),
    "policy": (State.POLICY_TRAINING, State.POLICY_EVALUATION),
    "gate": (State.AWAITING_LABELS, State.AWAITING_APPROVAL, State.DECIDED, State.DEPLOYING),
}


@dataclass(frozen=True)
class Station:
    """One of the four stations of the loop; `css` is is-running, is-done or empty."""

    name: str
    figure: str
    says: str
    css: str = ""
    progress: int = 0
    total: int = 0


@dataclass(frozen=True)
class StepRow:
    label: str
    css: str
    word: str
    note: str
    seconds: float | None
    phase: str
    progress: int
    total: int
    read: tuple[str, ...]
    wrote: tuple[str, ...]
    run: UUID | None = None
    alarm: training.RunAlarm | None = None


@dataclass(frozen=True)
class RoundRow:
    number: int
    title: str
    state: str
    meaning: str
    word: str
    labels: int
    summary: str
    started: datetime
    seconds: float
    trigger: str


def lines_context(lines: list[PolicyLine]) -> dict[str, Any]:
    rows = []
    for line in lines:
        running = active_round(line)
        rows.append(
            {
                "line": line,
                "deployed": _deployed_name(line),
                "running": _round_row(running) if running else None,
                "fresh": fresh_labels(line),
                "next_start": next_start(line),
            }
        )
    return {"rows": rows}


def line_context(line: PolicyLine) -> dict[str, Any]:
    running = active_round(line)
    fresh = fresh_labels(line)
    current = evaluation.deployment_current(line.id)
    rounds = line.rounds.order_by("-number")[:ROUNDS_SHOWN]
    return {
        "line": line,
        "running": running,
        "stations": _stations(line, running, fresh),
        "fresh": fresh,
        "deployed": _deployed_name(line),
        "deployment": current,
        "next_start": next_start(line),
        "rounds": [_round_row(round_) for round_ in rounds],
        "attempts": line.start_attempts.filter(round__isnull=True).order_by("-at")[:5],
        "queue": annotation.queue_status(line_id=line.id),
        "live": running is not None,
    }


def round_context(round_: Round, user: Any) -> dict[str, Any]:
    steps = steps_of(round_)
    present = steps.get(round_.state)
    run = _shown_run(round_, present)
    roles = roles_of(user, round_.line_id)
    return {
        "line": round_.line,
        "round": round_,
        "row": _round_row(round_),
        "steps": _step_rows(round_, steps),
        "run": run,
        "run_events": _last_metrics(run),
        "log": training.run_log_tail(run.id, lines=24) if run and round_.state not in ENDS else "",
        "live": round_.active,
        "may_cancel": round_.active and roles & {ENGINEER, LEAD},
        "may_take_up": round_.state in (State.FAILED, State.CANCELLED) and ENGINEER in roles,
        **decision_context(round_, roles),
    }


def decision_context(round_: Round, roles: set[str]) -> dict[str, Any]:
    """What the decision buttons need; empty for people who decide nothing."""
    if LEAD not in roles:
        return {"may_decide": False}
    return {
        "may_decide": True,
        "decision_line": round_.line.slug,
        "decision_number": round_.number,
        "awaits_approval": round_.state == State.AWAITING_APPROVAL,
        "overridable": overridable_checks(round_) if round_.verdict != "PROMOTE" else [],
        "overrides": evaluation.overrides(round_.id),
    }


def _stations(line: PolicyLine, running: Round | None, fresh: int) -> list[Station]:
    last = running or last_round(line)
    steps = steps_of(running) if running else {}
    queue = annotation.queue_status(line_id=line.id)
    waiting = queue.open_training + queue.open_gate
    labels = Station(
        "Labels",
        f"{fresh} of {line.minimum_fresh_labels}",
        f"new labels; {waiting} pairs wait, {queue.annotators} annotators in the last day",
        "is-running" if running and running.state == State.AWAITING_LABELS else "",
        min(fresh, line.minimum_fresh_labels),
        line.minimum_fresh_labels,
    )
    return [
        labels,
        _learning_station("Reward model", "reward", last, running, steps),
        _learning_station("Policy", "policy", last, running, steps),
        _gate_station(last, running, steps),
    ]


def _learning_station(
    name: str, key: str, last: Round | None, running: Round | None, steps: dict[str, RoundStep]
) -> Station:
    states = STATION_STATES[key]
    if running is not None and running.state in states:
        step = steps.get(running.state)
        says = step.note if step and step.note else "waits for a worker"
        label = State(running.state).label
        progress, total = (step.progress, step.total) if step else (0, 0)
        return Station(name, label, says, "is-running", progress, total)
    version = (last.reward_model if key == "reward" else last.candidate) if last else None
    if last is None or version is None:
        return Station(name, "none yet", "is trained when a round starts")
    return Station(
        name, training.model_version_get(version).name, f"round {last.number}", "is-done"
    )


def _gate_station(
    last: Round | None, running: Round | None, steps: dict[str, RoundStep]
) -> Station:
    if running is not None and running.state in STATION_STATES["gate"]:
        step = steps.get(running.state)
        says = step.note if step else ""
        return Station("Gate", State(running.state).label, says, "is-running")
    if last is None or not last.verdict:
        return Station("Gate", "no verdict yet", "decides when a candidate was evaluated")
    return Station("Gate", last.verdict, f"round {last.number}", "is-done")


def _round_row(round_: Round) -> RoundRow:
    ended = round_.closed_at or timezone.now()
    meaning, word = _state_word(round_)
    return RoundRow(
        number=round_.number,
        title=round_.title,
        state=round_.get_state_display(),
        meaning=meaning,
        word=word,
        labels=training.snapshot_get(round_.snapshot).rows if round_.snapshot else 0,
        summary=round_.error or round_.summary,
        started=round_.created_at,
        seconds=(ended - round_.created_at).total_seconds(),
        trigger=round_.get_trigger_display(),
    )


def _state_word(round_: Round) -> tuple[str, str]:
    if round_.state == State.FAILED:
        return "bad", "Failed"
    if round_.state == State.CANCELLED:
        return "neutral", "Cancelled"
    if round_.verdict:
        return MEANINGS[round_.verdict], round_.verdict
    if round_.state in WAITING:
        return "attention", round_.get_state_display()
    return "running", round_.get_state_display()


def _step_rows(round_: Round, steps: dict[str, RoundStep]) -> list[StepRow]:
    rows = []
    for state in State:
        step = steps.get(state)
        if state in ENDS or (step is None and not round_.active):
            continue
        rows.append(_step_row(round_, state, step))
    return rows


def _step_row(round_: Round, state: State, step: RoundStep | None) -> StepRow:
    css, word = "", ""
    if step is not None and step.finished_at is not None:
        css, word = "is-done", "done"
    elif step is not None and state == round_.state:
        css, word = "is-running", "waiting" if state in WAITING else "running"
    elif step is not None:
        css, word = "is-bad", "stopped here"
    seconds = None
    if step is not None and step.started_at is not None:
        seconds = ((step.finished_at or timezone.now()) - step.started_at).total_seconds()
    return StepRow(
        label=state.label,
        css=css,
        word=word,
        note=step.note if step else "",
        seconds=seconds,
        phase=step.phase if step and css == "is-running" else "",
        progress=step.progress if step else 0,
        total=step.total if step and css == "is-running" else 0,
        read=tuple(step.read) if step else (),
        wrote=tuple(step.wrote) if step else (),
        run=step.run if step else None,
        alarm=training.run_alarm(training.run_events(step.run)) if step and step.run else None,
    )


def _shown_run(round_: Round, present: RoundStep | None) -> training.RunRecord | None:
    """The run of the present step; of a stopped round, the run that stopped it."""
    step = present or failed_step(round_)
    return training.run_get(step.run) if step is not None and step.run is not None else None


def _last_metrics(run: training.RunRecord | None) -> list[tuple[str, str]]:
    if run is None:
        return []
    events = [event for event in training.run_events(run.id) if event.metrics]
    if not events:
        return []
    return [
        (name.replace("_", " "), f"{value:.4g}")
        for name, value in events[-1].metrics.items()
        if value is not None
    ]


def _deployed_name(line: PolicyLine) -> str:
    version = evaluation.deployed_version(line.id)
    return training.model_version_get(version).name if version else ""
