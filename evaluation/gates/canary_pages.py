"""What the page of deployments shows of canaries: the one under way with its evidence, and those that are over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from annotation import facade as annotation
from evaluation.contracts import Interval
from evaluation.gates.canary_models import CanaryEnd
from evaluation.gates.canary_selectors import canaries_ended, canary_running
from evaluation.gates.canary_watch import MARGIN, CanaryWatch, canary_watch
from evaluation.gates.records import CanaryRecord
from evaluation.statistics.rises import LEAST_RISE
from training import facade as training

ENDED_SHOWN = 10
EVIDENCE_SHOWN = 1_000_000


@dataclass(frozen=True)
class EvidenceMark:
    """What it is evidence for, and how much there is against how much is needed, in powers of ten."""

    what: str
    point: float
    threshold: float
    maximum: float
    meaning: str
    says: str


@dataclass(frozen=True)
class CanaryShown:
    """`state` is "serving", "starting" or "failing"; `rates`: (version, share of users, their number).

    `compared` is False where signals are off; `may_widen` says why it may be widened, and is empty before.
    `gap`, `least` and `margin` are in percentage points.
    """

    canary: CanaryRecord
    name: str
    other: str
    state: str
    compared: bool
    votes: tuple[int, int]
    rates: tuple[tuple[str, Interval], ...]
    marks: tuple[EvidenceMark, ...]
    gap: str
    least: str
    margin: str
    pairs: int
    may_widen: str


@dataclass(frozen=True)
class CanaryRow:
    canary: CanaryRecord
    name: str
    outcome: str


def canary_shown(line_id: UUID) -> CanaryShown | None:
    canary = canary_running(line_id)
    if canary is None:
        return None
    watch = canary_watch(canary)
    names = training.model_version_names({canary.version_id, canary.beside_version})
    name, other = names[canary.version_id], names[canary.beside_version]
    compared = watch.compared if watch else None
    return CanaryShown(
        canary,
        name,
        other,
        "failing" if canary.served_error else "serving" if canary.served_at else "starting",
        annotation.signals_on(line_id),
        watch.votes if watch else (0, 0),
        ((name, compared.new), (other, compared.old)) if compared else (),
        _marks(watch) if watch else (),
        _gap(compared.difference) if compared else "",
        f"{100 * LEAST_RISE:g}",
        f"{100 * MARGIN:g}",
        compared.pairs if compared else 0,
        _may_widen(canary, watch),
    )


def canary_rows(line_id: UUID) -> tuple[CanaryRow, ...]:
    ended = canaries_ended(line_id, most=ENDED_SHOWN)
    names = training.model_version_names({canary.version_id for canary in ended})
    return tuple(
        CanaryRow(canary, names[canary.version_id], str(CanaryEnd(canary.outcome).label))
        for canary in ended
    )


def _may_widen(canary: CanaryRecord, watch: CanaryWatch | None) -> str:
    if watch is not None and watch.not_worse:
        return "Users' votes show that it is not worse."
    if timezone.now() >= canary.widened_from:
        return "Its days are over; nothing has been shown against it."
    return ""


def _marks(watch: CanaryWatch) -> tuple[EvidenceMark, ...]:
    if watch.compared is None:
        return ()
    return (
        _mark("It is worse", watch.compared.worse, watch.bar, "bad"),
        _mark("It is not worse", watch.compared.not_worse, watch.bar, "good"),
    )


def _mark(what: str, evidence: float, needed: int, reached: str) -> EvidenceMark:
    point, threshold = math.log10(max(evidence, 1.0)), math.log10(needed)
    shown = "over a million" if evidence >= EVIDENCE_SHOWN else f"{evidence:,.1f}"
    return EvidenceMark(
        what,
        point,
        threshold,
        max(point, 1.5 * threshold),
        reached if evidence >= needed else "neutral",
        f"Evidence {shown} ({needed} needed)",
    )


def _gap(difference: Interval) -> str:
    low, high = 100 * difference.low, 100 * difference.high
    return f"{100 * difference.estimate:+.0f} ({low:+.0f} to {high:+.0f})"
