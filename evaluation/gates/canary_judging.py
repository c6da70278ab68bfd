"""Taking back what users have more trouble with, and telling leads when they may widen."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotation import facade as annotation
from evaluation.gates.canary_models import Canary
from evaluation.gates.canary_selectors import canaries_running
from evaluation.gates.canary_watch import CanaryWatch, canary_votes_count, canary_watch
from evaluation.gates.records import CanaryRecord
from evaluation.gates.services.canary_ends import canary_end
from evaluation.gates.services.deployments import pointer_lock
from training import facade as training
from web.access import LEAD, STAFF, people_with
from web.registry import line_name
from web.services import notice_send


def canaries_judge() -> None:
    """Count the votes of whole days on every canary; one that is shown worse ends, and people are told."""
    for canary in canaries_running():
        if annotation.signals_on(canary.line_id):
            _judge(canary)
        if timezone.now() >= canary.widened_from:
            _widening_tell(canary, "has answered for its days")


@transaction.atomic  # a worker that dies before the notice leaves the votes uncounted too
def _judge(canary: CanaryRecord) -> None:
    pointer_lock(canary.line_id)
    if not canary_votes_count(canary):
        return
    watch = canary_watch(canary)
    if watch is None:
        return
    if watch.worse:
        row = Canary.objects.get(pk=canary.id)
        if canary_end(row, outcome="worse", actor="signals"):
            _worse_tell(canary, watch)
    elif watch.not_worse:
        _widening_tell(canary, "is shown not worse by users' votes")


def _worse_tell(canary: CanaryRecord, watch: CanaryWatch) -> None:
    assert watch.compared is not None
    new, old = watch.compared.new.estimate, watch.compared.old.estimate
    name, other = _names(canary)
    notice_send(
        users=people_with(*STAFF, line_id=canary.line_id),
        topic=f"canary worse {canary.id}",
        level="bad",
        text=f"{line_name(canary.line_id)}: the canary {name} was taken back by itself, and {other} answers"
        f" everybody. {new:.0%} of the users who gave thumbs on it gave mostly thumbs down, against"
        f" {old:.0%} on {other} on the same days.",
        url=reverse("gates:deployments", args=[canary.line_id]),
        line=canary.line_id,
    )


def _widening_tell(canary: CanaryRecord, why: str) -> None:
    """Once for each reason that there is."""
    notice_send(
        users=people_with(LEAD, line_id=canary.line_id),
        topic=f"canary {why} {canary.id}",
        level="info",
        text=f"{line_name(canary.line_id)}: the canary {_names(canary)[0]} {why}. Widen it to everybody, or"
        " take it back.",
        url=reverse("gates:deployments", args=[canary.line_id]),
        line=canary.line_id,
    )


def _names(canary: CanaryRecord) -> tuple[str, str]:
    names = training.model_version_names({canary.version_id, canary.beside_version})
    return names[canary.version_id], names[canary.beside_version]
