"""What users said as examples of better and worse answers, for a reward head of their own.

Nothing here is a label: no snapshot, queue or gate reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Window
from django.db.models.functions import RowNumber

from web.services import audit_record

from .models import ServedCompletion, Signal, SignalSwitch
from .selectors import kept_completions, kept_since

MOST_EXAMPLES, MOST_OF_USER = 2_000, 10


@dataclass(frozen=True)
class SignalExample:
    """`text` is better than `other`, or has a thumb, `up` or down, where `other` is None."""

    user: str
    conversation: str
    messages: tuple[Mapping[str, Any], ...]
    text: str
    other: str | None
    up: bool


@dataclass(frozen=True)
class _Heard:
    """A signal beside the answer that it is about."""

    signal: Signal
    about: ServedCompletion


def signal_opinion_on(line_id: UUID) -> bool:
    """Whether rounds of this line train a reward head on signals; never while signals are off."""
    return SignalSwitch.objects.filter(line_id=line_id, opinion=True).exists()


@transaction.atomic
def signal_opinion_switch(*, line_id: UUID, on: bool, actor: str, name: str) -> None:
    """Of a line that keeps signals; of any other line, nothing."""
    if SignalSwitch.objects.filter(line_id=line_id).exclude(opinion=on).update(opinion=on):
        verb = "switched second opinion on" if on else "switched second opinion off"
        audit_record(actor=actor, verb=verb, target=name, line=line_id)


def signal_examples(line_id: UUID) -> list[SignalExample]:
    """Of signals with a user on answers that are kept, each one example at most: the newest `MOST_OF_USER` of each
    user, everybody's newest first, `MOST_EXAMPLES` in all, so that who speaks much crowds nobody out.

    An edit is better than the answer that it replaced. An answer that the same user asked for again and gave a
    thumb up is better than the one before. Any other thumb stands for itself.
    """
    says = ~Q(thumb="") | ~Q(edit="") | Q(regenerated=True)
    rows = Signal.objects.filter(says, line_id=line_id, given_at__gte=kept_since())
    newest = Window(RowNumber(), partition_by="user", order_by=["-given_at", "-id"])
    ranked = rows.exclude(user="").annotate(rank=newest).filter(rank__lte=MOST_OF_USER)
    latest = list(ranked.order_by("rank", "-given_at", "-id")[:MOST_EXAMPLES])
    kept = kept_completions().exclude(conversation="").in_bulk([r.completion_id for r in latest])
    heard = [_Heard(row, kept[row.completion_id]) for row in latest if row.completion_id in kept]
    before = _asked_again(heard)
    return [example for each in heard for example in _example(each, before.get(each.about.pk))]


def _example(each: _Heard, before: ServedCompletion | None) -> Iterator[SignalExample]:
    signal, about = each.signal, each.about
    edit = signal.edit.strip()
    if edit and edit != about.text.strip():
        yield _made(each, signal.edit, about.text, up=True)
    elif before is not None and before.text.strip() != about.text.strip():
        yield _made(each, about.text, before.text, up=True)
    elif signal.thumb:
        yield _made(each, about.text, None, up=signal.thumb == "up")


def _made(each: _Heard, text: str, other: str | None, *, up: bool) -> SignalExample:
    about = each.about
    return SignalExample(
        each.signal.user, about.conversation, tuple(about.messages), text, other, up
    )


def _asked_again(heard: list[_Heard]) -> dict[str, ServedCompletion]:
    """Of an answer with a thumb up, the last one before it in the same conversation that its user asked again."""
    asked: dict[tuple[str, str], list[tuple[datetime, ServedCompletion]]] = defaultdict(list)
    for each in heard:
        if each.signal.regenerated:
            key = each.signal.user, each.about.conversation
            asked[key].append((each.about.served_at, each.about))
    found = {}
    for each in heard:
        if each.signal.thumb == "up":
            key, served = (each.signal.user, each.about.conversation), each.about.served_at
            earlier = [row for row in asked[key] if row[0] < served]
            if earlier:
                found[each.about.pk] = max(earlier, key=lambda row: row[0])[1]
    return found
