"""What a line's users said: counts by version and day, and texts to read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from .estimates import ThumbShare, thumb_share
from .models import ServedCompletion, Signal, SignalSwitch

DAYS_SHOWN = 30
TEXTS_SHOWN = 50


@dataclass(frozen=True)
class VersionSignals:
    """Counts of one model version; `thumbs` leaves out what came without a user."""

    version_id: UUID
    signals: int
    up: int
    down: int
    regenerated: int
    edits: int
    texts: int
    thumbs: ThumbShare | None


@dataclass(frozen=True)
class DaySignals:
    day: date
    signals: int
    down: int


@dataclass(frozen=True)
class WrittenSignal:
    """An edit or a text, with the answer it is about where that is still kept."""

    given_at: datetime
    version_id: UUID
    thumb: str
    edit: str
    text: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class LineSignals:
    on: bool
    hours: int
    kept: int
    versions: tuple[VersionSignals, ...]
    days: tuple[DaySignals, ...]
    written: tuple[WrittenSignal, ...]


def signals_on(line_id: UUID) -> bool:
    return SignalSwitch.objects.filter(line_id=line_id).exists()


def line_signals(*, line_id: UUID) -> LineSignals:
    """All that the page of a line's signals shows; versions with the latest signals first."""
    rows = Signal.objects.filter(line_id=line_id)
    return LineSignals(
        signals_on(line_id),
        settings.OUTERLOOP_SIGNALS_HOURS,
        kept_completions().filter(line_id=line_id).count(),
        tuple(_versions(rows)),
        tuple(_days(rows)),
        tuple(_written(rows)),
    )


def kept_completions() -> QuerySet[ServedCompletion]:
    """Those on which feedback may still be given."""
    return ServedCompletion.objects.filter(served_at__gte=kept_since())


def kept_since() -> datetime:
    return timezone.now() - timedelta(hours=settings.OUTERLOOP_SIGNALS_HOURS)


def _versions(rows: QuerySet[Signal]) -> Iterator[VersionSignals]:
    users: dict[UUID, list[tuple[int, int]]] = defaultdict(list)
    down = Count("id", filter=Q(thumb="down"))
    by_user = rows.exclude(thumb="").exclude(user="").values("version_id", "user")
    for row in by_user.annotate(n=Count("id"), down=down):
        users[row["version_id"]].append((row["n"], row["down"]))
    counted = rows.values("version_id").annotate(
        signals=Count("id"),
        up=Count("id", filter=Q(thumb="up")),
        down=down,
        again=Count("id", filter=Q(regenerated=True)),
        edits=Count("id", filter=~Q(edit="")),
        texts=Count("id", filter=~Q(text="")),
        last=Max("given_at"),
    )
    for version in counted.order_by("-last"):
        yield VersionSignals(
            version["version_id"], version["signals"], version["up"], version["down"], version["again"],
            version["edits"], version["texts"], thumb_share(users[version["version_id"]]),
        )  # fmt: skip


def _days(rows: QuerySet[Signal]) -> Iterator[DaySignals]:
    counted = rows.annotate(day=TruncDate("given_at")).values("day")
    counted = counted.annotate(n=Count("id"), down=Count("id", filter=Q(thumb="down")))
    for row in counted.order_by("-day")[:DAYS_SHOWN]:
        yield DaySignals(row["day"], row["n"], row["down"])


def _written(rows: QuerySet[Signal]) -> Iterator[WrittenSignal]:
    latest = list(rows.exclude(edit="", text="").order_by("-given_at")[:TEXTS_SHOWN])
    kept = kept_completions().in_bulk([row.completion_id for row in latest])
    for row in latest:
        about = kept.get(row.completion_id)
        yield WrittenSignal(
            row.given_at, row.version_id, row.thumb, row.edit, row.text,
            about.messages[-1]["content"] if about else "", about.text if about else "",
        )  # fmt: skip
