"""The alarm of a line's signals for programs."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema

from evaluation.contracts import Interval
from evaluation.statistics.rises import LEAST_RISE
from web.api.access import TokenAuth
from web.api.problems import Problem
from web.tokens import READ

from .access import line_of_id
from .signal_watch import SignalWatch, signal_watch

router = Router(tags=["signals"])


class ShareOut(Schema):
    """With a 95 % interval."""

    estimate: float
    low: float
    high: float


class AlarmOut(Schema):
    """The deployed version against the one before it: of users with thumbs, those with more down than up.

    `evidence` is against "the rate rose by at most `least_rise`"; at `bar` it is an alarm, since
    `raised_at`. What is null is not known yet: there is no earlier version, or no vote on one of the two.
    """

    deployed: UUID | None = None
    earlier: UUID | None = None
    deployed_votes: int = 0
    earlier_votes: int = 0
    deployed_rate: ShareOut | None = None
    earlier_rate: ShareOut | None = None
    difference: ShareOut | None = None
    pairs: int = 0
    least_rise: float = LEAST_RISE
    evidence: float | None = None
    bar: int | None = None
    raised_at: str | None = None


@router.get(
    "/lines/{line_id}/signals/alarm",
    response={200: AlarmOut, 404: Problem},
    auth=TokenAuth(READ),
    url_name="signals_alarm",
)
def alarm_read(request: HttpRequest, line_id: UUID) -> AlarmOut:
    """Whether users have more trouble with the deployed policy than with the one before it."""
    watch = signal_watch(line_of_id(request, line_id).id)
    return AlarmOut() if watch is None else _shown(watch)


def _shown(watch: SignalWatch) -> AlarmOut:
    rise = watch.rise
    return AlarmOut(
        deployed=watch.deployed.version_id,
        earlier=watch.earlier.version_id,
        deployed_votes=watch.votes[0],
        earlier_votes=watch.votes[1],
        deployed_rate=_share(rise.after) if rise else None,
        earlier_rate=_share(rise.before) if rise else None,
        difference=_share(rise.difference) if rise else None,
        pairs=rise.pairs if rise else 0,
        evidence=rise.evidence if rise else None,
        bar=watch.bar,
        raised_at=watch.raised_at.isoformat() if watch.raised_at else None,
    )


def _share(of: Interval) -> ShareOut:
    return ShareOut(estimate=of.estimate, low=of.low, high=of.high)
