"""Whether users have more trouble with the deployed policy than with the one before it.

It raises a notice and stands on the page of the signals; no gate, round or deployment reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotation import facade as annotation
from evaluation import facade as evaluation
from evaluation.statistics.rises import LEAST_RISE, RateRise, rate_rise
from training import facade as training
from web.access import STAFF, people_with
from web.services import notice_send

from .models import PolicyLine


@dataclass(frozen=True)
class Term:
    """One stretch of time in which a line's pointer showed one version; `id` is that of its first move."""

    id: UUID
    version_id: UUID
    since: datetime


@dataclass(frozen=True)
class SignalWatch:
    """`rise` is None before both versions have votes; `raised_at` is when the vote that crossed the bar was
    counted, None while there is no alarm."""

    deployed: Term
    earlier: Term
    deployed_name: str
    earlier_name: str
    votes: tuple[int, int]
    rise: RateRise | None
    raised_at: datetime | None

    @property
    def bar(self) -> int:
        return int(settings.OUTERLOOP_SIGNALS_EVIDENCE)


def signal_watch(line_id: UUID) -> SignalWatch | None:
    """The deployed version against the one before it, by votes that are counted; None without one before."""
    terms = _last_terms(line_id)
    if terms is None:
        return None
    deployed, earlier = terms
    after, before = (annotation.signal_votes(term.id) for term in terms)
    rise = rate_rise(
        [vote.down for vote in after],
        [vote.down for vote in before],
        least=LEAST_RISE,
        level=1 / settings.OUTERLOOP_SIGNALS_EVIDENCE,
    )
    crossed = rise.crossed if rise else None
    return SignalWatch(
        deployed,
        earlier,
        training.model_version_get(deployed.version_id).name,
        training.model_version_get(earlier.version_id).name,
        (len(after), len(before)),
        rise,
        after[crossed - 1].counted_at if crossed else None,
    )


def signal_alarms() -> None:
    """Count the votes of whole days on every line that keeps signals, and tell engineers and leads once of
    each deployment after which users have more trouble."""
    for line in PolicyLine.objects.filter(archived_at=None):
        if annotation.signals_on(line.id):
            _line_alarm(line)


@transaction.atomic  # a worker that dies before the notice leaves the votes uncounted too
def _line_alarm(line: PolicyLine) -> None:
    terms = _last_terms(line.id)
    if terms is None or not _votes_count(line.id, *terms):
        return
    watch = signal_watch(line.id)
    if watch is None or watch.rise is None or watch.raised_at is None:
        return
    after, before = watch.rise.after.estimate, watch.rise.before.estimate
    notice_send(
        users=people_with(*STAFF, line_id=line.id),
        topic=f"signals {watch.deployed.id}",
        level="attention",
        text=f"{line.name}: {after:.0%} of the users who give thumbs on {watch.deployed_name} give"
        f" mostly thumbs down; on {watch.earlier_name} it was {before:.0%}. Read what they say before"
        " you act: whoever may ask the policy server may name any user.",
        url=reverse("rounds:signals", args=[line.slug]),
    )


def _votes_count(line_id: UUID, deployed: Term, earlier: Term) -> int:
    """Those of the earlier version first, whose votes end where the deployed one began."""
    spans = ((earlier, deployed.since), (deployed, timezone.now()))
    return sum(
        annotation.signal_votes_count(
            line_id=line_id,
            version_id=term.version_id,
            period_id=term.id,
            since=term.since,
            until=until,
        )
        for term, until in spans
    )


def _last_terms(line_id: UUID) -> tuple[Term, Term] | None:
    """(what is deployed, what was before it)."""
    found = _terms(evaluation.deployments(line_id))
    deployed, earlier = next(found, None), next(found, None)
    return (deployed, earlier) if deployed and earlier else None


def _terms(moves: Sequence[evaluation.LineDeployment]) -> Iterator[Term]:
    """From a line's moves, newest first; a version that was deployed anew goes on with its term."""
    for version_id, same in groupby(moves, key=lambda move: move.version_id):
        first = list(same)[-1]
        yield Term(first.id, version_id, first.started_at)
