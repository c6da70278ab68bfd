"""Whether users have more trouble with a canary than with the version that answers the others, meanwhile.

Users' votes are counted day by day as for the alarm after a deployment, and compared within each day. Where
the canary is shown worse it is taken back; no gate, round or label reads any of this.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date
from uuid import UUID, uuid5

from django.conf import settings
from django.utils import timezone

from annotation import facade as annotation
from evaluation.gates.records import CanaryRecord
from evaluation.gates.routing import CanarySplit
from evaluation.statistics.concurrent import SideBySide, side_by_side
from evaluation.statistics.rises import LEAST_RISE

# What a canary that is shown not worse may at most be worse by.
MARGIN = 0.1


@dataclass(frozen=True)
class CanaryWatch:
    """`votes` of users on the canary and on the other version; `compared` is None before a day has both.

    `bar` is the evidence that shows either.
    """

    votes: tuple[int, int]
    compared: SideBySide | None
    bar: int

    @property
    def worse(self) -> bool:
        return self.compared is not None and self.compared.worse >= self.bar

    @property
    def not_worse(self) -> bool:
        return self.compared is not None and self.compared.not_worse >= self.bar


def canary_watch(canary: CanaryRecord) -> CanaryWatch | None:
    """As the counted votes stand; None while its line keeps no signals and has no vote."""
    on_canary, on_other = (annotation.signal_votes(period) for period in _periods(canary))
    if not (on_canary or on_other or annotation.signals_on(canary.line_id)):
        return None
    days: dict[date, tuple[list[bool], list[bool]]] = defaultdict(lambda: ([], []))
    for side, votes in enumerate((on_canary, on_other)):
        for vote in votes:
            days[vote.counted_at.astimezone(UTC).date()][side].append(vote.down)
    bar = settings.OUTERLOOP_SIGNALS_EVIDENCE
    compared = side_by_side(
        [days[day] for day in sorted(days)], least=LEAST_RISE, margin=MARGIN, level=1 / bar
    )
    return CanaryWatch((len(on_canary), len(on_other)), compared, bar)


def canary_votes_count(canary: CanaryRecord) -> int:
    """Count the votes of whole days on both sides; how many were found.

    A vote counts only where the user's own name is routed to the version that it is on.
    """
    split, now = CanarySplit(canary.id, canary.share), timezone.now()
    of_canary, of_other = _periods(canary)
    sides = (
        (of_canary, canary.version_id, split.takes),
        (of_other, canary.beside_version, split.takes_not),
    )
    return sum(
        annotation.signal_votes_count(
            line_id=canary.line_id,
            version_id=version_id,
            period_id=period,
            since=canary.started_at,
            until=now,
            whose=whose,
        )
        for period, version_id, whose in sides
    )


def _periods(canary: CanaryRecord) -> tuple[UUID, UUID]:
    """Under which the votes on the canary and on the other version are counted."""
    return canary.id, uuid5(canary.id, "everybody else")
