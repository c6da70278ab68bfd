"""What leads and engineers are told: a failed round, a waiting decision, an empty queue."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from annotation import facade as annotation
from training import facade as training
from web.access import LEAD, STAFF, people_with
from web.services import notice_send

from .models import PolicyLine, Round, State


def round_alarms(round_: Round) -> None:
    """Tell the people whose turn it is; the topic keeps one message per round and state."""
    url = reverse("rounds:round", args=[round_.line.slug, round_.number])
    topic = f"round {round_.id} {round_.state}"
    name = f"{round_.line.name}, round {round_.number}"
    if round_.state == State.FAILED:
        notice_send(
            users=people_with(*STAFF, line_id=round_.line_id),
            topic=f"{topic} {round_.closed_at}",
            level="bad",
            text=f"{name} failed: {round_.error}"[:500],
            url=url,
            line=round_.line_id,
        )
    elif round_.state == State.AWAITING_APPROVAL:
        notice_send(
            users=people_with(LEAD, line_id=round_.line_id),
            topic=topic,
            level="attention",
            text=f"{name} waits for your decision: the gate says PROMOTE.",
            url=url,
            line=round_.line_id,
        )
    elif round_.state == State.CLOSED:
        verdict = round_.verdict or "no verdict"
        notice_send(
            users=people_with(*STAFF, line_id=round_.line_id),
            topic=topic,
            level="info",
            text=f"{name} is closed: {verdict}.",
            url=url,
            line=round_.line_id,
        )


def run_alarms(round_: Round) -> None:
    """Say once of each run that an alarm ended early with a policy to judge; a failed one fails its round."""
    for run in training.runs_of_round(round_.id):
        alarm = run.results.get("alarm")
        if not alarm:
            continue
        title = training.ALARM_NAMES.get(alarm["name"], alarm["name"])
        notice_send(
            users=people_with(*STAFF, line_id=round_.line_id),
            topic=f"alarm {run.id}",
            level="attention",
            text=f"{round_.line.name}, round {round_.number}: training was stopped by the alarm"
            f" “{title}”; the last healthy policy goes on. {alarm['says']}",
            url=reverse("runs:run", args=[run.id]),
            line=round_.line_id,
        )


def queue_alarms() -> None:
    """An empty queue stops the loop silently: say so once a day per line."""
    today = timezone.localdate().isoformat()
    for line in PolicyLine.objects.filter(base_version__isnull=False):
        status = annotation.queue_status(line_id=line.id)
        if status.open_training + status.open_gate > 0 or status.done == 0:
            continue
        notice_send(
            users=people_with(*STAFF, line_id=line.id),
            topic=f"empty queue {line.id} {today}",
            level="attention",
            text=f"The queue of {line.name} is empty: annotators have nothing to compare. Start a"
            " round, or import pairs.",
            url=reverse("rounds:line", args=[line.slug]),
            line=line.id,
        )
