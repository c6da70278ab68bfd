"""Where a run stands, read from its events: phase, share, time left, alarm. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from training.contracts import RunEvent

ALARM = "alarm "
ALARM_NAMES = {
    "nan": "Not a number",
    "kl_explosion": "Exploding KL",
    "entropy_collapse": "Entropy collapse",
    "reward_without_held_out_gain": "Reward without held-out gain",
    "outlier_states": "Texts unlike the reference's",
}


@dataclass(frozen=True)
class RunAlarm:
    """`name` as manifests have it, `title` for people, `says` the reason with the fix."""

    name: str
    title: str
    says: str


@dataclass(frozen=True)
class Standing:
    """`seconds_left` is for the present phase; None where too little is known."""

    phase: str
    step: int
    total: int
    message: str
    seconds_left: float | None


def run_alarm(events: Sequence[RunEvent]) -> RunAlarm | None:
    """The alarm that stopped the last attempt, if one did."""
    for event in reversed(events):
        if event.phase == "start":
            return None
        if event.phase.startswith(ALARM):
            name = event.phase.removeprefix(ALARM)
            return RunAlarm(name, ALARM_NAMES.get(name, name.replace("_", " ")), event.message)
    return None


def standing(events: Sequence[RunEvent], *, now: datetime) -> Standing | None:
    """The last event, with an estimate from the pace of its phase in the present attempt."""
    if not events:
        return None
    last = events[-1]
    return Standing(last.phase, last.step, last.total_steps, last.message, _left(events, now))


def _left(events: Sequence[RunEvent], now: datetime) -> float | None:
    """(steps left) x (seconds a step since the phase's first event), less the time gone since."""
    last, first = events[-1], events[-1]
    for event in reversed(events):
        if event.phase == "start":
            break
        if event.phase == last.phase and event.step < first.step:
            first = event
    done = last.step - first.step
    if done <= 0:
        return None
    last_at = datetime.fromisoformat(last.at)
    pace = (last_at - datetime.fromisoformat(first.at)).total_seconds() / done
    left = pace * (last.total_steps - last.step)
    return max(0.0, left - max(0.0, (now - last_at).total_seconds()))
