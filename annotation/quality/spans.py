"""What was marked in the answers of a campaign: how often each label, on which side, and in whose texts.

Of answers in force that count; without the pairs of a gate that has not decided, which nobody is shown. A rate is
the share of the texts of a model version that got the label at least once, each text counted in every answer on it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Q

from annotation.campaigns.models import Campaign
from annotation.campaigns.span_labels import SpanLabel, labels_of
from annotation.comparisons.levels import letters
from annotation.comparisons.models import Slot
from annotation.statistics.estimates import Gauged, share_over_people

from .answers import NEWEST, judgments_in_force
from .pairs import pairs_shown
from .words import share_words


@dataclass(frozen=True)
class Marked:
    """Which marks are asked for: of one label ("" for any), in the texts of one model version or of any."""

    label: str = ""
    version: UUID | None = None


@dataclass(frozen=True)
class LabelRow:
    """One label: `marks` in `answers` answers, and how many stand in each answer as it was shown (A, B, ...)."""

    key: str
    name: str
    help: str
    answers: int
    marks: int
    shown: tuple[int, ...]


@dataclass(frozen=True)
class VersionRow:
    """One label in the texts of one model version (None: of none that is known)."""

    label: str
    name: str
    version: UUID | None
    rate: Gauged | None
    says: str


@dataclass(frozen=True)
class SpansPage:
    """`read` are the newest answers that the figures rest on; `letters` of the answers as shown."""

    read: int
    cut: bool
    letters: tuple[str, ...]
    labels: tuple[LabelRow, ...]
    versions: tuple[VersionRow, ...]


def spans_page(*, campaign: Campaign) -> SpansPage | None:
    """None where the campaign has no labels: one that marks were made with is never taken away."""
    if not campaign.span_labels:
        return None
    rows = judgments_in_force(campaign=campaign)
    rows = rows.filter(assignment__comparison__in=pairs_shown(campaign=campaign))
    found = list(
        rows.order_by("-created_at", "-pk").values_list(
            "spans", "assignment__shown_order", "assignment__comparison_id", "rater_id"
        )[: NEWEST + 1]
    )
    cut, found = len(found) > NEWEST, found[:NEWEST]
    labels = labels_of(campaign.span_labels)
    return SpansPage(
        read=len(found),
        cut=cut,
        letters=tuple(letters(campaign.answers)),
        labels=tuple(_label_row(label, found, campaign.answers) for label in labels),
        versions=tuple(_version_rows(labels, found)),
    )


def marked_where(wanted: Marked, *, answers: int) -> Q:
    """Answers with such a mark, where so many `answers` stand side by side."""
    label: dict[str, Any] = {"label": wanted.label} if wanted.label else {}
    if wanted.version is None:
        return Q(spans__contains=[label]) if label else ~Q(spans=[])
    found = Q(pk__in=[])
    for position in range(1, answers + 1):
        slots = Slot.objects.filter(position=position, completion__model_version=wanted.version)
        of_text = Q(assignment__comparison__in=slots.values("comparison"))
        found |= of_text & Q(spans__contains=[{**label, "slot": position}])
    return found


def _label_row(label: SpanLabel, found: list[Any], count: int) -> LabelRow:
    shown: Counter[int] = Counter()
    answers = 0
    for spans, order, *_ in found:
        mine = [span["slot"] for span in spans if span["label"] == label.key]
        answers += bool(mine)
        shown.update(order.index(slot) for slot in mine)
    places = tuple(shown[place] for place in range(count))
    return LabelRow(label.key, label.name, label.help, answers, shown.total(), places)


def _version_rows(labels: Sequence[SpanLabel], found: list[Any]) -> list[VersionRow]:
    """Label by label, the versions of most texts first."""
    versions = _versions({pair for _, _, pair, _ in found})
    asked: dict[UUID | None, Counter[UUID]] = defaultdict(Counter)
    hits: dict[tuple[str, UUID | None], Counter[UUID]] = defaultdict(Counter)
    for spans, _, pair, rater in found:
        for version in versions[pair].values():
            asked[version][rater] += 1
        for key, slot in {(span["label"], span["slot"]) for span in spans}:
            hits[key, versions[pair][slot]][rater] += 1
    ordered = sorted(asked, key=lambda version: (-asked[version].total(), str(version)))
    return [
        VersionRow(label.key, label.name, version, rate, share_words(rate))
        for label in labels
        for version in ordered
        for rate in [_rate(hits[label.key, version], asked[version])]
    ]


def _rate(hits: Counter[UUID], asked: Counter[UUID]) -> Gauged | None:
    """The share over people, of whom each has answered `asked` times."""
    people = sorted(asked)
    return share_over_people(
        np.array([hits[one] for one in people], dtype=np.float64),
        np.array([asked[one] for one in people], dtype=np.float64),
    )


def _versions(pairs: set[UUID]) -> dict[UUID, dict[int, UUID | None]]:
    """The model version of each slot."""
    found: dict[UUID, dict[int, UUID | None]] = {pair: {} for pair in pairs}
    rows = Slot.objects.filter(comparison__in=pairs)
    for pair, position, version in rows.values_list(
        "comparison_id", "position", "completion__model_version"
    ):
        found[pair][position] = version
    return found
