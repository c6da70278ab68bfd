"""The quality of a campaign that ranks: how far people put the same answers in the same order.

Gold items, repeats and the habits of a side belong to pairs. So does Dawid and Skene's model: the pairs of one
ranking are no independent votes, and taking them for such would make every rater look surer than they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from uuid import UUID

import numpy as np
from django.db.models import Count, QuerySet

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment, AssignmentState, Judgment
from annotation.comparisons.records import FLAGS
from annotation.statistics.estimates import Gauged, IntArray
from annotation.statistics.rankings import concordance_estimate, same_order_estimate

from . import words
from .answers import NEWEST, judgments_in_force
from .pages import FigureRow
from .pairs import rater_name
from .told import CountRow, skip_words


@dataclass(frozen=True)
class RankingPerson:
    rater_id: UUID
    name: str
    pseudonym: str
    simulated: bool
    rankings: int
    seconds: float | None


@dataclass(frozen=True)
class RankingPage:
    """`rankings` that count; `read` of them, the newest, were measured."""

    rankings: int
    read: int
    shared: int
    seconds: float | None
    agreement: tuple[FigureRow, ...]
    people: tuple[RankingPerson, ...]
    flags: tuple[CountRow, ...]
    reasons: int
    skips: tuple[CountRow, ...]


def ranking_page(*, campaign: Campaign) -> RankingPage:
    rows = _rankings(campaign)
    read = list(
        rows.order_by("-created_at", "-pk").values_list(
            "assignment__comparison_id", "rater_id", "levels", "seconds"
        )[:NEWEST]
    )
    groups = _groups((pair, levels) for pair, _, levels, _ in read)
    times = [seconds for *_, seconds in read if seconds is not None]
    flagged = rows.exclude(flags=[]).values_list("flags", flat=True)[:NEWEST]
    flags = Counter(key for row in flagged for key in {flag["key"] for flag in row})
    skipped = Assignment.objects.filter(
        comparison__campaign=campaign, state=AssignmentState.SKIPPED
    )
    skips = skipped.values_list("skip_reason").annotate(n=Count("pk")).order_by("-n", "skip_reason")
    return RankingPage(
        rankings=rows.count(),
        read=len(read),
        shared=len(groups),
        seconds=median(times) if times else None,
        agreement=_agreement(groups),
        people=_people([(rater, seconds) for _, rater, _, seconds in read]),
        flags=tuple(CountRow(key, FLAGS.get(key, key), n) for key, n in flags.most_common()),
        reasons=rows.exclude(rationale="").count(),
        skips=tuple(CountRow(key, skip_words(key), n) for key, n in skips[:20]),
    )


def ranking_figures(*, campaign: Campaign) -> tuple[int, Gauged | None]:
    """How many rankings count, and how far people agree on the order of the newest of them."""
    rows = _rankings(campaign)
    newest = rows.order_by("-created_at", "-pk").values_list("assignment__comparison_id", "levels")
    return rows.count(), concordance_estimate(_groups(newest[:NEWEST]))


def _rankings(campaign: Campaign) -> QuerySet[Judgment, Judgment]:
    return judgments_in_force(campaign=campaign).filter(levels__isnull=False)


def _groups(said: Iterable[tuple[UUID, list[int] | None]]) -> list[IntArray]:
    """The levels [raters, K] of every set of answers that two people or more have ranked."""
    found: dict[UUID, list[list[int]]] = defaultdict(list)
    for pair, levels in said:
        found[pair].append(levels or [])
    return [np.array(group, dtype=np.int64) for group in found.values() if len(group) > 1]


def _agreement(groups: list[IntArray]) -> tuple[FigureRow, ...]:
    order, same = concordance_estimate(groups), same_order_estimate(groups)
    rests = f"{len(groups):,} prompt{'' if len(groups) == 1 else 's'}"
    return (
        FigureRow(
            name="Rank correlation, from Kendall’s W",
            estimate=order,
            shown=words.coefficient_words(order),
            means=_order_meaning(order),
            kind="shared",
            rests_on=rests if order else "",
            threshold=0.0,
            minimum=-1.0,
        ),
        FigureRow(
            name="Same way round",
            estimate=same,
            shown=words.share_words(same),
            means=_same_meaning(same),
            kind="shared",
            rests_on=rests if same else "",
            threshold=0.5,
        ),
    )


def _order_meaning(found: Gauged | None) -> str:
    if found is None:
        return "Two prompts or more have to be ranked by two people or more."
    return "1 is the same order by everybody, 0 what chance gives, below 0 opposite orders."


def _same_meaning(found: Gauged | None) -> str:
    if found is None:
        return "Two prompts or more have to be ranked by two people or more, not all tied."
    return "Of two answers that neither person tied, how often both put the same one first; chance gives half."


def _people(read: list[tuple[UUID, float | None]]) -> tuple[RankingPerson, ...]:
    """Who gave the rankings that were read, the most first."""
    count = Counter(rater for rater, _ in read)
    times: dict[UUID, list[float]] = defaultdict(list)
    for rater, seconds in read:
        if seconds is not None:
            times[rater].append(seconds)
    raters = Rater.objects.select_related("user").in_bulk(list(count))
    return tuple(
        RankingPerson(
            rater_id=key,
            name=rater_name(raters[key]),
            pseudonym=raters[key].pseudonym,
            simulated=raters[key].simulated,
            rankings=number,
            seconds=median(times[key]) if times[key] else None,
        )
        for key, number in count.most_common()
    )
