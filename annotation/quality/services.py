"""Writes: leave answers out, and take them in again; nothing that people said is changed."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign, GuidelineVersion
from annotation.campaigns.selectors import guidelines_current
from annotation.comparisons.exclusions import in_force
from annotation.comparisons.models import Comparison, Exclusion, Judgment
from annotation.comparisons.services.overlap import overlap_reconsider
from annotation.contracts import AnnotationError
from web.services import audit_record

from .exclusions import answers_changed, gate_labels_changed, places_changed

LONGEST_REASON = 300
NAMED = ("line", "campaign", "rater", "guideline_version", "since", "until")
SAME = "The same answers are left out already."


def exclusion_drawn(
    *,
    campaign: Campaign,
    rater: Rater | None = None,
    whole_line: bool = False,
    guideline_version: GuidelineVersion | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Exclusion:
    """What is to be left out, checked and not saved yet.

    A person (of the campaign, or with `whole_line` of all of its line's), a version of the guidelines
    that is no longer in force, or a span that is over: of the person, or of the campaign. Raises
    `AnnotationError` for anything else.
    """
    if rater is None and guideline_version is None and since is None:
        raise AnnotationError("Name a person, a version of the guidelines or a span of time.")
    if guideline_version is not None and guideline_version == guidelines_current(campaign=campaign):
        raise AnnotationError(
            "These guidelines are in force: publish the next version first, or every answer to come is left out."
        )
    _check_span(since, until)
    drawn = Exclusion(
        line=campaign.line,
        campaign=None if whole_line and rater is not None else campaign,
        rater=rater,
        guideline_version=guideline_version,
        since=since,
        until=until,
    )
    if in_force().filter(**{name: getattr(drawn, name) for name in NAMED}).exists():
        raise AnnotationError(SAME)
    return drawn


def _check_span(since: datetime | None, until: datetime | None) -> None:
    if (since is None) != (until is None):
        raise AnnotationError("A span of time has a beginning and an end: give both.")
    if since is not None and until is not None:
        if until <= since:
            raise AnnotationError("The end of the span must lie after its beginning.")
        if until > timezone.now():
            raise AnnotationError("The span must be over: answers to come cannot be left out.")


@transaction.atomic
def exclusion_make(*, exclusion: Exclusion, reason: str, actor: Any) -> Exclusion:
    """Leave out what `exclusion_drawn` names. The pairs that people were asked go back to the queue.

    What an undecided gate loses by it is counted and kept, for its report. Raises `AnnotationError`
    without a reason, or where the same is left out already.
    """
    exclusion.reason = _reason(reason)
    exclusion.excluded_by = str(actor.pk)
    try:
        with transaction.atomic():
            exclusion.save(force_insert=True)
    except IntegrityError as error:
        raise AnnotationError(SAME) from error
    rows = answers_changed(exclusion)
    places = _places_locked(rows)
    exclusion.gate_labels = gate_labels_changed(rows)
    exclusion.save(update_fields=["gate_labels"])
    _asked_anew(places, +1)
    _audit(exclusion, "left out answers", actor, exclusion.gate_labels)
    return exclusion


@transaction.atomic
def exclusion_lift(*, exclusion: Exclusion, actor: Any) -> None:
    """Take the answers in again; places that were opened for them and are still free close."""
    exclusion = Exclusion.objects.select_for_update().get(pk=exclusion.pk)
    if exclusion.lifted_at is not None:
        raise AnnotationError("These answers count again already.")
    rows = answers_changed(exclusion)
    places = _places_locked(rows)
    exclusion.gate_labels_back = gate_labels_changed(rows)
    exclusion.lifted_at, exclusion.lifted_by = timezone.now(), str(actor.pk)
    exclusion.save(update_fields=["lifted_at", "lifted_by", "gate_labels_back"])
    _asked_anew(places, -1)
    _audit(exclusion, "took answers in again", actor, exclusion.gate_labels_back)


def _reason(text: str) -> str:
    if not text.strip():
        raise AnnotationError("Say why these answers are left out.")
    if len(text.strip()) > LONGEST_REASON:
        raise AnnotationError(f"Keep the reason under {LONGEST_REASON} characters.")
    return text.strip()


def _places_locked(rows: QuerySet[Judgment, Judgment]) -> dict[UUID, int]:
    """`places_changed` as it is when the pairs are locked, in the order of their ids: what somebody took back
    or gave meanwhile is counted as it came out."""
    locked: set[UUID] = set()
    while missing := (places := places_changed(rows)).keys() - locked:
        pairs = Comparison.objects.select_for_update().filter(pk__in=missing).order_by("pk")
        locked.update(pairs.values_list("pk", flat=True))
    return places


def _asked_anew(places: dict[UUID, int], change: int) -> None:
    """Move the places of locked pairs by `change` an answer; where the votes that count say how many people
    are asked, they say so anew instead."""
    adaptive = Comparison.objects.filter(pk__in=places, adaptive=True).select_related("campaign")
    decided = {pair.pk for pair in adaptive if overlap_reconsider(pair)}
    found: dict[int, list[UUID]] = defaultdict(list)
    for pair, number in places.items():
        if pair not in decided:
            found[change * number].append(pair)
    for more, pairs in found.items():
        taken = F("judged") + F("leased")
        Comparison.objects.filter(pk__in=pairs).update(wanted=Greatest(F("wanted") + more, taken))


def _audit(exclusion: Exclusion, verb: str, actor: Any, gate_labels: dict[str, int]) -> None:
    rater, version = exclusion.rater, exclusion.guideline_version
    detail = {
        "rater": rater.pseudonym if rater else "",
        "guidelines": version.number if version else "",
        "from": exclusion.since.isoformat() if exclusion.since else "",
        "until": exclusion.until.isoformat() if exclusion.until else "",
        "reason": exclusion.reason,
        "labels of undecided gates": sum(gate_labels.values()),
    }
    target = f"campaign {exclusion.campaign}" if exclusion.campaign else "every campaign"
    audit_record(actor=actor, verb=verb, target=target, line=exclusion.line, detail=detail)
