"""Keep answers for feedback, take feedback on them, and forget both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from annotation.comparisons.digests import conversation_digest
from annotation.contracts import AnnotationError
from web.secret_key import secret_key
from web.services import audit_record

from .models import ServedCompletion, Signal, SignalSwitch, SignalVote
from .selectors import kept_since, signals_on

# One conversation has few readers: more users than this on one completion are refused.
MOST_USERS = 8


class SignalRefused(AnnotationError):
    """`code` names the reason for programs."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class NewSignal:
    """Feedback on a completion; `user` as the sender names them, of which a keyed hash is kept."""

    completion_id: str
    user: str = ""
    thumb: str = ""
    edit: str = ""
    text: str = ""
    regenerated: bool = False


@transaction.atomic
def signals_switch(*, line_id: UUID, on: bool, actor: str, name: str) -> None:
    """Off forgets the kept answers at once; signals that were given stay."""
    if on == signals_on(line_id):
        return
    if on:
        SignalSwitch.objects.get_or_create(line_id=line_id)
    else:
        SignalSwitch.objects.filter(line_id=line_id).delete()
        ServedCompletion.objects.filter(line_id=line_id).delete()
    verb = "switched signals on" if on else "switched signals off"
    audit_record(actor=actor, verb=verb, target=name, line=line_id)


def completion_keep(
    *,
    completion_id: str,
    line_id: UUID,
    version_id: UUID,
    messages: Sequence[dict[str, Any]],
    text: str,
) -> None:
    """Keep an answer of a line that has signals switched on; of any other line, nothing."""
    if signals_on(line_id):
        ServedCompletion.objects.create(
            id=completion_id, line_id=line_id, version_id=version_id, messages=list(messages),
            conversation=conversation_digest(messages), text=text, served_at=timezone.now(),
        )  # fmt: skip


@transaction.atomic
def signal_give(*, line_id: UUID, signal: NewSignal) -> None:
    """Take feedback; what the same user said before of this completion is replaced. `SignalRefused`."""
    if not signals_on(line_id):
        raise SignalRefused("Signals are switched off for this policy.", "signals_off")
    about = ServedCompletion.objects.select_for_update().filter(pk=signal.completion_id).first()
    if about is None or about.line_id != line_id:
        raise SignalRefused(
            "completion_id names no answer that this server keeps.", "completion_not_found"
        )
    if about.served_at < kept_since():
        raise SignalRefused("The time for feedback on this answer is over.", "completion_expired")
    user = user_hash(signal.user)
    others = Signal.objects.filter(completion_id=about.pk).exclude(user=user).count()
    if others >= MOST_USERS:
        raise SignalRefused(
            f"{MOST_USERS} users have given feedback on this answer; no more are taken.",
            "too_many_users",
        )
    Signal.objects.update_or_create(
        completion_id=about.pk,
        user=user,
        defaults={
            "line_id": line_id, "version_id": about.version_id, "thumb": signal.thumb,
            "edit": signal.edit, "text": signal.text, "regenerated": signal.regenerated,
            "given_at": timezone.now(),
        },
    )  # fmt: skip


def signals_expire() -> int:
    """Delete the answers whose time is over; how many."""
    return ServedCompletion.objects.filter(served_at__lt=kept_since()).delete()[0]


@transaction.atomic
def signals_erase(*, user: str, actor: str) -> int:
    """Delete all that this user said, their votes, and the answers it is about, on every line; how many
    signals."""
    SignalVote.objects.filter(user=user_hash(user)).delete()
    rows = Signal.objects.filter(user=user_hash(user))
    about = list(rows.values_list("completion_id", flat=True))
    ServedCompletion.objects.filter(pk__in=about).delete()
    count = rows.delete()[0]
    audit_record(
        actor=actor, verb="erased signals", target="a user of the policy", detail={"signals": count}
    )
    return count


def user_hash(user: str) -> str:
    """Keyed, so that names cannot be tried by whoever has the table alone."""
    if not user:
        return ""
    key = settings.OUTERLOOP_SIGNALS_KEY or secret_key()
    return salted_hmac("outerloop.signals", user, secret=key, algorithm="sha256").hexdigest()
