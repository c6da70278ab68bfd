"""Users who say what they think of a canary and of the version beside it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from annotation.signals.models import Signal
from evaluation.gates.records import CanaryRecord
from evaluation.gates.routing import CanarySplit


def names_of(canary: CanaryRecord, taken: bool) -> Iterator[str]:
    split = CanarySplit(canary.id, canary.share)
    return (name for name in (f"u{n}" for n in range(10**6)) if split.takes(name) == taken)


def thumbs(
    canary: CanaryRecord, *, taken: bool, users: int, down: int, days: float = 1.5, wrong: bool = False
) -> None:  # fmt: skip
    """So many users of a side, so many of them down; `wrong`: on the version that is not theirs."""
    names = names_of(canary, taken)
    version = canary.version_id if taken != wrong else canary.beside_version
    Signal.objects.bulk_create(
        Signal(
            line_id=canary.line_id, version_id=version, completion_id=str(uuid.uuid4()),
            user=next(names), thumb="down" if n * down % users < down else "up",
            given_at=timezone.now() - timedelta(days=days),
        )
        for n in range(users)
    )  # fmt: skip


def votes_on(canary: CanaryRecord) -> None:
    """Enough to draw, and to show nothing."""
    thumbs(canary, taken=True, users=40, down=8)
    thumbs(canary, taken=False, users=120, down=24)
