"""Who works on a step: claims, leases and moves, each one conditional UPDATE.

No lock is held while a step works. A worker claims the step of the round's present state, prolongs
its lease at every heartbeat, and may move the round on only while its fence number is the latest.
Leases run by the database's clock, whatever the workers' own clocks say.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Expression, F, OuterRef, Q

from web.clock import Now, from_now

from .events import move_tell
from .models import ENDS, Round, RoundStep, State


class ClaimLost(RuntimeError):
    """Another worker took the step over, or the round ended; this worker's word does not count."""


class RoundCancelRequested(RuntimeError):
    """A person asked to cancel the round."""


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def step_claim(round_: Round, *, owner: str) -> RoundStep | None:
    """Take the step of the round's present state unless another worker holds it."""
    step, _ = RoundStep.objects.get_or_create(
        round=round_,
        name=round_.state,
        defaults={"position": list(State).index(State(round_.state))},
    )
    free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now())
    claimed = RoundStep.objects.filter(
        free, _round_is_in(round_.state), pk=step.pk, finished_at__isnull=True
    ).update(fence=F("fence") + 1, lease_owner=owner, lease_expires_at=_lease_end())
    if not claimed:
        return None
    RoundStep.objects.filter(pk=step.pk, started_at__isnull=True).update(started_at=Now())
    step.refresh_from_db()
    return step


def step_heartbeat(step: RoundStep) -> None:
    """Prolong the lease; raises `ClaimLost`, or `RoundCancelRequested`."""
    _update(step, lease_expires_at=_lease_end())
    if Round.objects.filter(pk=step.round_id, cancel_requested_at__isnull=False).exists():
        raise RoundCancelRequested("The round was cancelled.")


def step_progress(step: RoundStep, *, phase: str, progress: int, total: int, note: str) -> None:
    _update(step, phase=phase, progress=progress, total=total, note=note[:500])


def step_release(step: RoundStep, *, note: str = "") -> None:
    """Give the step back unfinished: it waits for labels, for a person, or for another try."""
    changes: dict[str, Any] = {"lease_expires_at": None, "lease_owner": ""}
    if note:
        changes["note"] = note[:500]
    _update(step, **changes)


@transaction.atomic
def round_move(
    step: RoundStep,
    *,
    to: State,
    read: Sequence[str] = (),
    wrote: Sequence[str] = (),
    note: str = "",
    **round_fields: Any,
) -> None:
    """Finish the step and move the round on, in one transaction. Raises `ClaimLost`."""
    now = Now()
    _update(
        step,
        finished_at=now,
        lease_expires_at=None,
        lease_owner="",
        read=list(read),
        wrote=list(wrote),
        **({"note": note[:500]} if note else {}),
    )
    if to in ENDS:
        round_fields["closed_at"] = now
    moved = Round.objects.filter(pk=step.round_id, state=step.name).update(state=to, **round_fields)
    if not moved:
        raise ClaimLost("The round left this state meanwhile.")
    if to not in ENDS:
        RoundStep.objects.get_or_create(
            round_id=step.round_id, name=to, defaults={"position": list(State).index(to)}
        )
    move_tell(step.round_id, to, decided=bool(round_fields.get("verdict")))


def _round_is_in(state: str) -> Exists:
    """The round's state, asked beside the UPDATE and not by a join.

    With a join Django updates `WHERE id IN (SELECT ...)`: PostgreSQL does not ask that SELECT again
    once the row that it waited for was changed, and several workers would claim one step.
    """
    return Exists(Round.objects.filter(pk=OuterRef("round_id"), state=state))


def _update(step: RoundStep, **changes: Any) -> None:
    kept = RoundStep.objects.filter(
        _round_is_in(step.name), pk=step.pk, fence=step.fence, finished_at__isnull=True
    ).update(**changes)
    if not kept:
        raise ClaimLost(f"{step} was taken over by another worker, or its round ended.")


def _lease_end() -> Expression:
    return from_now(timedelta(seconds=settings.OUTERLOOP_LEASE_SECONDS))
