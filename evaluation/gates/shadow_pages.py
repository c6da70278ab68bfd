"""What the page of deployments shows of a shadow: how it stands, and day by day what it did beside the other."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from uuid import UUID

import numpy as np

from evaluation.contracts import Interval
from evaluation.gates.canary_selectors import canary_running
from evaluation.gates.records import ShadowCounts, ShadowDayRecord, ShadowRecord
from evaluation.gates.shadow_selectors import shadow_days, shadow_last, shadow_policies
from evaluation.statistics.paired import paired_difference_interval
from training import facade as training

DAYS_SHOWN = 14
FEWEST = 30  # answers, for an interval


@dataclass(frozen=True)
class ShadowFigures:
    """Of a day, or of all (`day` is None). Pairs are (shadow, deployed policy): mean seconds and characters of an
    answer, and the share of full refusals."""

    day: date | None
    counts: ShadowCounts
    seconds: tuple[float, float]
    characters: tuple[float, float]
    refused: tuple[float, float]


@dataclass(frozen=True)
class ShadowShown:
    """`state` is "serving", "starting", "failing" or "over". `refusals` is the difference in percentage points with
    its interval, empty before there are enough answers."""

    shadow: ShadowRecord
    name: str
    other: str
    state: str
    days: tuple[ShadowFigures, ...]
    total: ShadowFigures | None
    refusals: str


@dataclass(frozen=True)
class ShadowPart:
    """`policies` are (id, name) of those that may be started as one now; empty while one is or a canary is."""

    shown: ShadowShown | None
    policies: tuple[tuple[UUID, str], ...]


def shadow_part(line_id: UUID) -> ShadowPart:
    last = shadow_last(line_id)
    free = (last is None or last.ended_at is not None) and canary_running(line_id) is None
    policies = shadow_policies(line_id) if free else []
    return ShadowPart(
        _shown(last) if last else None, tuple((each.id, each.name) for each in policies)
    )


def _shown(shadow: ShadowRecord) -> ShadowShown:
    names = training.model_version_names({shadow.version_id, shadow.beside_version})
    days = shadow_days(shadow.id)
    total = _sum(days)
    return ShadowShown(
        shadow,
        names[shadow.version_id],
        names[shadow.beside_version],
        _state(shadow),
        tuple(_figures(each.counts, each.day) for each in days[: -DAYS_SHOWN - 1 : -1]),
        _figures(total, None) if days else None,
        _refusals(total),
    )


def _state(shadow: ShadowRecord) -> str:
    if shadow.ended_at is not None:
        return "over"
    if shadow.served_error:
        return "failing"
    return "serving" if shadow.served_at else "starting"


def _sum(days: list[ShadowDayRecord]) -> ShadowCounts:
    names = [field.name for field in fields(ShadowCounts)]
    return ShadowCounts(**{n: sum(getattr(each.counts, n) for each in days) for n in names})


def _figures(counts: ShadowCounts, day: date | None) -> ShadowFigures:
    n = counts.answered or 1
    return ShadowFigures(
        day,
        counts,
        (counts.seconds / n, counts.deployed_seconds / n),
        (counts.characters / n, counts.deployed_characters / n),
        (counts.refused / n, counts.deployed_refused / n),
    )


def refusal_difference(counts: ShadowCounts) -> Interval | None:
    """Share of full refusals of the shadow less that of the deployed policy, over the same requests."""
    if counts.answered < FEWEST:
        return None
    first, second = np.zeros(counts.answered), np.zeros(counts.answered)
    first[: counts.refused_alone] = 1.0
    second[counts.refused_alone :][: counts.deployed_refused_alone] = 1.0
    return paired_difference_interval(first, second)


def _refusals(counts: ShadowCounts) -> str:
    found = refusal_difference(counts)
    if found is None:
        return ""
    return f"{100 * found.estimate:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
