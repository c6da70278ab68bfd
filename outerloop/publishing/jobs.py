"""The life of a push: claimed once, heard of while it works, stopped when asked, ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from web.clock import Now, from_now

from .models import Push, PushState

# A running push that has not been heard of for this long belongs to a worker that died.
SILENCE = timedelta(minutes=2)


class PushRefused(Exception):
    """It cannot be done as it is; the sentence says why, and what to do."""


class PushCancelled(Exception):
    """Somebody asked the push to stop."""


def push_carried(push_id: UUID, work: Callable[[Push], Mapping[str, Any]]) -> Push | None:
    """Claim the push and carry it out; None when somebody else has it, or it is finished.

    `work` returns the fields of a push that is done. Nothing is raised for what a person can mend: the push
    ends as failed, with the sentence in `error`.
    """
    if not Push.objects.filter(_free(), pk=push_id).update(
        state=PushState.RUNNING, started_at=Now(), heartbeat_at=Now()
    ):
        return None
    push = Push.objects.get(pk=push_id)
    try:
        fields = work(push)
    except PushCancelled:
        _finish(push, PushState.CANCELLED)
    except PushRefused as error:
        _finish(push, PushState.FAILED, error=str(error))
    except Exception:
        _finish(push, PushState.FAILED, error="An unexpected error ended the push; see the log.")
        raise
    else:
        _finish(push, PushState.DONE, **fields)
    return push


def push_heard(push: Push, **done: Any) -> None:
    """Write down how far a push is; `PushCancelled` when it was asked to stop."""
    rows = Push.objects.filter(pk=push.pk)
    rows.update(heartbeat_at=Now(), **done)
    if rows.filter(cancel_requested=True).exists():
        raise PushCancelled


def push_cancel(push: Push) -> bool:
    """Ask the push to stop; one that waits is cancelled at once. False where it has ended."""
    rows = Push.objects.filter(pk=push.pk)
    if rows.filter(state=PushState.QUEUED).update(
        state=PushState.CANCELLED, cancel_requested=True, finished_at=timezone.now()
    ):
        return True
    return rows.filter(state=PushState.RUNNING).update(cancel_requested=True) == 1


def pushes_waiting() -> list[UUID]:
    """Pushes that nobody is at: queued, or left behind by a worker that died."""
    return list(Push.objects.filter(_free()).values_list("pk", flat=True))


def _free() -> Q:
    silent = Q(state=PushState.RUNNING, heartbeat_at__lt=from_now(-SILENCE))
    return Q(state=PushState.QUEUED) | silent


def _finish(push: Push, state: PushState, **fields: Any) -> None:
    push.refresh_from_db()
    for name, value in {**fields, "state": state, "finished_at": timezone.now()}.items():
        setattr(push, name, value)
    push.save(update_fields=[*fields, "state", "finished_at"])
