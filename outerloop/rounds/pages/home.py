"""What waits for a lead or an engineer: a decision, a second signature, a loop that does not turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from annotation import facade as annotation
from evaluation import facade as evaluation
from outerloop.rounds.models import WAITING, PolicyLine, Round, State
from outerloop.rounds.pages.offer import anything_to_compare
from outerloop.rounds.selectors import active_round, fresh_labels, last_round, rounds_without_worker
from web.access import LEAD, roles_of

# So long may a step wait for a worker before people are told.
PATIENCE = timedelta(minutes=2)


@dataclass(frozen=True)
class Waiting:
    """One thing that waits: a sentence, and the page on which the person acts."""

    meaning: str
    says: str
    url: str
    act: str


def waiting_read(lines: list[PolicyLine], user: Any) -> list[Waiting]:
    """What waits on these lines: decisions first, then what is stuck."""
    decisions: list[Waiting] = []
    stuck: list[Waiting] = []
    unheld = {round_.pk for round_ in rounds_without_worker()}
    for line in lines:
        if LEAD in roles_of(user, line.id):
            decisions += _approvals(line)
            decisions += _overrides(line, user)
            decisions += _weaker_policies(line, user)
        stuck += _stuck(line, unheld)
    return decisions + stuck


def _approvals(line: PolicyLine) -> Iterator[Waiting]:
    for round_ in line.rounds.filter(state=State.AWAITING_APPROVAL):
        yield Waiting(
            "attention",
            f"{line.name}, round {round_.number}: the gate says PROMOTE. Approve the deployment, or"
            " hold it back.",
            _page(line, round_),
            "Read and decide",
        )


def _overrides(line: PolicyLine, user: Any) -> Iterator[Waiting]:
    for override in evaluation.overrides_waiting(line.id):
        if override.requested_by == str(user):
            continue
        round_ = line.rounds.get(pk=override.round_id)
        yield Waiting(
            "attention",
            f"{line.name}, round {round_.number}: {override.requested_by} asks a second lead to let"
            f" the check {override.check_id} through.",
            _page(line, round_),
            "Read and decide",
        )


def _weaker_policies(line: PolicyLine, user: Any) -> Iterator[Waiting]:
    for asked in evaluation.policy_requests_waiting(line.id):
        if asked.asked_by != str(user.pk):
            yield Waiting(
                "attention",
                f"{line.name}: {asked.requested_by} asks a second lead for a weaker gate policy."
                f" {' '.join(asked.weaker)}",
                reverse("gates:policy", args=[line.pk]),
                "Read and decide",
            )


def _stuck(line: PolicyLine, unheld: set[Any]) -> Iterator[Waiting]:
    running, last = active_round(line), last_round(line)
    if last is not None and last.state == State.FAILED:
        yield Waiting(
            "bad",
            f"{line.name}, round {last.number} failed: {last.error}",
            reverse("rounds:round", args=[line.slug, last.number]),
            "Look at it",
        )
    elif running is not None and running.pk in unheld and _waits_too_long(running):
        yield Waiting(
            "attention",
            f"{line.name}, round {running.number} waits for a worker"
            f" ({running.get_state_display().lower()}). Does one run?",
            reverse("rounds:round", args=[line.slug, running.number]),
            "Look at it",
        )
    elif last is None and not _is_set_up(line):
        yield Waiting(
            "attention",
            f"{line.name} is not set up yet: go on where it was left.",
            reverse("rounds:set_up", args=[line.slug]),
            "Go on",
        )
    elif running is None and _queue_is_empty(line):
        yield Waiting(
            "attention",
            f"{line.name}: annotators have nothing to compare, and too few labels are in for a"
            " round. Import pairs, or start with the labels that there are.",
            reverse("rounds:line", args=[line.slug]),
            "Open the line",
        )


def _is_set_up(line: PolicyLine) -> bool:
    """A line that an engineer trains the first policy of, as the demo does, is set up by a program."""
    return line.simulated or (line.base_version is not None and anything_to_compare(line))


def _waits_too_long(round_: Round) -> bool:
    if round_.state in WAITING:
        return False
    step = round_.steps.filter(name=round_.state).first()
    since = step.entered_at if step else round_.created_at
    return timezone.now() - since > PATIENCE


def _queue_is_empty(line: PolicyLine) -> bool:
    if fresh_labels(line) >= line.minimum_fresh_labels:
        return False
    status = annotation.queue_status(line_id=line.id)
    return status.open_training + status.open_gate + status.leased == 0 and status.done > 0


def _page(line: PolicyLine, round_: Round) -> str:
    """The report, where the lead's buttons are as well; the round's page until it is written."""
    name = "reports:report" if evaluation.report_exists(round_.pk) else "rounds:round"
    return reverse(name, args=[line.slug, round_.number])
