"""Reads on what is left out: what it is, what it changes, and which undecided gates it touches."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.comparisons.exclusions import in_force, left_out
from annotation.comparisons.models import Exclusion, Judgment, Purpose
from annotation.comparisons.streams import training_rankings, training_values
from annotation.contracts import GateExclusion

from .selectors import PairwiseAgreement, pairwise_agreement

PAIR = "assignment__comparison"


@dataclass(frozen=True)
class LineFigures:
    """What a line has at one moment: labels that count, those that the next snapshot would hold, pairs
    with a label, agreement on decided votes."""

    labels: int
    training: int
    pairs: int
    agreement: PairwiseAgreement


@dataclass(frozen=True)
class Effect:
    """What leaving out, or taking in again, changes. `gate_labels` are of gates that are undecided."""

    before: LineFigures
    after: LineFigures
    labels: int
    places: int
    gate_labels: int


def answers_changed(exclusion: Exclusion) -> QuerySet[Judgment, Judgment]:
    """The answers, rankings too, that this exclusion alone keeps from counting."""
    mine = Exclusion.objects.filter(pk=exclusion.pk)
    others = in_force().exclude(pk=exclusion.pk)
    return Judgment.objects.filter(
        left_out(mine, judgment=""), ~left_out(others, judgment=""), active=True, surplus=False
    )


def gate_labels_changed(rows: QuerySet[Judgment, Judgment]) -> dict[str, int]:
    """Of these answers, the labels of gates that have not decided, by round."""
    gate = rows.filter(
        **{f"{PAIR}__purpose": Purpose.GATE, f"{PAIR}__closed_at__isnull": True}
    ).order_by()
    found = gate.values_list(f"{PAIR}__round_id").annotate(n=Count("pk"))
    return {str(round_id): n for round_id, n in found}


def places_changed(rows: QuerySet[Judgment, Judgment]) -> dict[UUID, int]:
    """Of these answers, how many were asked of people in pairs that are still open to answers, by pair."""
    asked = rows.filter(
        assignment__lease_expires_at__isnull=False,
        **{
            f"{PAIR}__purpose__in": (Purpose.TRAINING, Purpose.GATE),
            f"{PAIR}__closed_at__isnull": True,
        },
    )
    return dict(asked.order_by().values_list(f"{PAIR}_id").annotate(n=Count("pk")))


def effect_of(exclusion: Exclusion) -> Effect:
    """What the exclusion would change if it were made now, or lifted where it is in force.

    It is tried and undone, so that what is shown and what is done cannot differ.
    """
    before = line_figures(line_id=exclusion.line)
    known = set(in_force().filter(pk=exclusion.pk).values_list("pk", flat=True))
    with transaction.atomic():
        if not known:
            exclusion.save(force_insert=True)
        changed = _changed(exclusion)
        if known:
            Exclusion.objects.filter(pk=exclusion.pk).update(lifted_at=timezone.now())
        after = line_figures(line_id=exclusion.line)
        transaction.set_rollback(True)
    labels, places, gate = changed
    return Effect(before, after, labels, places, gate)


def _changed(exclusion: Exclusion) -> tuple[int, int, int]:
    rows = answers_changed(exclusion)
    places, gate = places_changed(rows), gate_labels_changed(rows)
    return rows.count(), sum(places.values()), sum(gate.values())


def line_figures(*, line_id: UUID) -> LineFigures:
    kept = Judgment.objects.filter(
        ~left_out(judgment=""),
        active=True,
        surplus=False,
        **{
            f"{PAIR}__campaign__line": line_id,
            f"{PAIR}__purpose__in": (Purpose.TRAINING, Purpose.GATE),
        },
    )
    found = kept.aggregate(labels=Count("pk"), pairs=Count(f"{PAIR}_id", distinct=True))
    values, rankings = training_values(line_id=line_id), training_rankings(line_id=line_id)
    return LineFigures(
        labels=found["labels"],
        training=values.count() + rankings.count(),
        pairs=found["pairs"],
        agreement=pairwise_agreement(line_id=line_id),
    )


def exclusions_of(*, campaign: Campaign) -> QuerySet[Exclusion, Exclusion]:
    """What is or was left out of the campaign, those of its whole line too."""
    rows = Exclusion.objects.filter(line=campaign.line)
    mine = rows.filter(campaign=campaign) | rows.filter(campaign__isnull=True)
    return mine.select_related("campaign", "rater__user", "guideline_version")


def gate_exclusions(*, round_id: UUID) -> list[GateExclusion]:
    """What was left out of a round's gate, or taken in again, before it had decided; oldest first."""
    key = str(round_id)
    out = Exclusion.objects.filter(gate_labels__has_key=key)
    back = Exclusion.objects.filter(gate_labels_back__has_key=key)
    found = [GateExclusion(e.excluded_at, e.gate_labels[key], False) for e in out]
    found += [
        GateExclusion(e.lifted_at, e.gate_labels_back[key], True)
        for e in back.filter(lifted_at__isnull=False)
        if e.lifted_at is not None
    ]
    return sorted(found, key=lambda each: each.at)
