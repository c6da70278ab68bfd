"""What the quality pages show: plain values, with the list of answers behind each figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import QueryDict
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.statistics.estimates import Gauged
from web.paging import page_of_sorted

from . import words
from .answers import AnswerArrays, answer_arrays
from .measures import (
    Drift,
    Habits,
    Week,
    agreement,
    drifts,
    habits,
    labels_by_rater,
    median,
    reliabilities,
    seconds_by_rater,
    weeks,
)
from .pairs import rater_name
from .spans import SpansPage, spans_page
from .told import CountRow, told

PEOPLE_SHOWN = 50  # on a page of the table; all of them are in the CSV file


@dataclass(frozen=True)
class FigureRow:
    """One figure: `shown` in figures, `means` in words, `kind` the list behind it, `rests_on` how much.

    The mark is drawn from `minimum` to `maximum` with `threshold` dashed.
    """

    name: str
    estimate: Gauged | None
    shown: str
    means: str
    kind: str
    rests_on: str
    threshold: float
    minimum: float = 0.0


@dataclass(frozen=True)
class PersonRow:
    """One person in the campaign. Estimates are None where nothing of the kind was asked."""

    rater_id: UUID
    name: str
    pseudonym: str
    simulated: bool
    excluded: bool
    labels: int
    with_others: Gauged | None
    gold: Gauged | None
    repeats: Gauged | None
    left: Gauged | None
    longer: Gauged | None
    reliability: Gauged | None
    seconds: float | None
    drifted: Drift | None
    signs: tuple[str, ...]


@dataclass(frozen=True)
class QualityMeasures:
    """`read` answers were measured `at` a moment; `cut`: older ones are not among them. People are without their
    names, so that none is kept of who is erased meanwhile."""

    at: datetime
    read: int
    cut: bool
    labels: int
    seconds: float | None
    agreement: tuple[FigureRow, ...]
    habits: tuple[FigureRow, ...]
    people: tuple[PersonRow, ...]  # the most labels first
    excluded: tuple[PersonRow, ...]
    weeks: tuple[Week, ...]
    flags: tuple[CountRow, ...]
    reasons: int
    skips: tuple[CountRow, ...]
    marks: SpansPage | None


@dataclass(frozen=True)
class QualityPage:
    """Measures with one page of their people, by the names that these have now."""

    measures: QualityMeasures
    people: tuple[PersonRow, ...]
    excluded: tuple[PersonRow, ...]
    newer_query: str
    older_query: str


@dataclass(frozen=True)
class PersonPage:
    person: PersonRow
    figures: tuple[FigureRow, ...]
    change: str
    flags: tuple[CountRow, ...]
    reasons: int
    skips: tuple[CountRow, ...]


def quality_page(measures: QualityMeasures, *, query: QueryDict, name: str = "") -> QualityPage:
    """The people of the page that `query` (request.GET) asks for, of all or of those whose name contains
    `name`, and all who are left out."""
    people = list(measures.people)
    if name:
        people = [row for row in _named(people) if name.casefold() in row.name.casefold()]
    page = page_of_sorted(people, key=_place, query=query, size=PEOPLE_SHOWN)
    shown = _named((*page.rows, *measures.excluded))
    return QualityPage(
        measures=measures,
        people=tuple(row for row in shown if not row.excluded),
        excluded=tuple(row for row in shown if row.excluded),
        newer_query=page.newer_query,
        older_query=page.older_query,
    )


def _place(row: PersonRow) -> tuple[int, str]:
    return -row.labels, str(row.rater_id)


def _named(rows: Sequence[PersonRow]) -> list[PersonRow]:
    """With the names of now."""
    raters = Rater.objects.select_related("user").in_bulk([row.rater_id for row in rows])
    return [
        replace(row, name=rater_name(raters[row.rater_id]))
        for row in rows
        if row.rater_id in raters
    ]


def quality_measure(*, campaign: Campaign) -> QualityMeasures:
    """Everything that the quality page shows of a campaign, as of now."""
    at, answers = timezone.now(), answer_arrays(campaign=campaign)
    kept = answers.where(answers.of_counted_raters)
    usual = habits(answers)
    counting, left_out = _by_labels(answers)
    rows = _person_rows(answers, usual, (*counting, *left_out))
    people = [replace(row, name="") for row in rows]
    return QualityMeasures(
        at=at,
        read=len(answers.value),
        cut=answers.cut,
        labels=int(kept.asked.sum()),
        seconds=median(kept.seconds),
        agreement=_agreement_rows(answers),
        habits=_habit_rows(usual, ~answers.out),
        people=tuple(row for row in people if not row.excluded),
        excluded=tuple(row for row in people if row.excluded),
        weeks=tuple(weeks(answers)),
        marks=spans_page(campaign=campaign),
        **told(campaign, None, answers),
    )


def people_rows(*, campaign: Campaign) -> tuple[PersonRow, ...]:
    """Everybody of the campaign's quality page in its order, those left out last."""
    answers = answer_arrays(campaign=campaign)
    counting, left_out = _by_labels(answers)
    return tuple(_person_rows(answers, habits(answers), (*counting, *left_out)))


def _by_labels(answers: AnswerArrays) -> tuple[list[int], list[int]]:
    """Places in `answers.raters` of those who count, and of those left out; the most labels first."""
    labels = labels_by_rater(answers)
    order = sorted(
        range(len(answers.raters)), key=lambda p: (-int(labels[p]), str(answers.raters[p].pk))
    )
    return [p for p in order if not answers.out[p]], [p for p in order if answers.out[p]]


def person_page(*, campaign: Campaign, rater: Rater) -> PersonPage | None:
    """None where the person has no answer in force in the campaign."""
    answers = answer_arrays(campaign=campaign)
    place = next((i for i, one in enumerate(answers.raters) if one.pk == rater.pk), None)
    if place is None:
        return None
    (person,) = _person_rows(answers, habits(answers), [place])
    return PersonPage(
        person=person,
        figures=_person_figures(person),
        change=words.change_words(person.drifted),
        **told(campaign, rater, answers),
    )


def _person_rows(answers: AnswerArrays, everyone: Habits, places: Iterable[int]) -> list[PersonRow]:
    """One row for each of the `places` in `answers.raters`; `everyone` are the habits of all of them."""
    fitted, labels = reliabilities(answers), labels_by_rater(answers)
    usual = everyone.with_others.over_all(~answers.out)
    usual_seconds, moved = median(answers.seconds), drifts(answers)
    seconds = seconds_by_rater(answers)
    rows = []
    for place in places:
        rater = answers.raters[place]
        figures: dict[str, Any] = {
            "with_others": everyone.with_others.of(place),
            "gold": everyone.gold.of(place),
            "repeats": everyone.repeats.of(place),
            "left": everyone.left.of(place),
            "reliability": fitted[place],
            "seconds": seconds[place],
            "drifted": moved[place],
        }
        signs = words.signs_of(**figures, usual=usual, usual_seconds=usual_seconds)
        rows.append(
            PersonRow(
                rater_id=rater.pk,
                name=rater_name(rater),
                pseudonym=rater.pseudonym,
                simulated=rater.simulated,
                excluded=bool(answers.out[place]),
                labels=int(labels[place]),
                longer=everyone.longer.of(place),
                signs=tuple(signs),
                **figures,
            )
        )
    return rows


def _agreement_rows(answers: AnswerArrays) -> tuple[FigureRow, ...]:
    found = agreement(answers)
    rows = [
        ("Krippendorff’s alpha, seven steps", found.alpha_steps, words.alpha_meaning, 0.667),
        ("Krippendorff’s alpha, side only", found.alpha_side, words.alpha_meaning, 0.667),
        ("Gwet’s AC2, seven steps", found.gwet_steps, words.gwet_meaning, 0.0),
        ("Gwet’s AC1, side only", found.gwet_side, words.gwet_meaning, 0.0),
    ]
    coefficients = tuple(
        FigureRow(
            name=name,
            estimate=estimate,
            shown=words.coefficient_words(estimate),
            means=means(estimate),
            kind="shared",
            rests_on=_rests(estimate, "pair"),
            threshold=mark,
            minimum=-1.0,
        )
        for name, estimate, means, mark in rows
    )
    share = found.share
    same = FigureRow(
        "Same side chosen", share, words.share_words(share), words.share_meaning(share),
        "differing", _rests(share, "pair"), 0.5,
    )  # fmt: skip
    return (*coefficients, same)


def _habit_rows(found: Habits, counted: Any) -> tuple[FigureRow, ...]:
    gold, repeats = found.gold.over_all(counted), found.repeats.over_all(counted)
    left, longer = found.left.over_all(counted), found.longer.over_all(counted)
    return (
        _share_row("Gold items right", gold, words.gold_meaning(gold), "gold"),
        _share_row("Said the same again", repeats, words.repeats_meaning(repeats), "repeats"),
        _share_row("Left text chosen", left, words.left_meaning(left), "left"),
        _share_row("Longer text chosen", longer, words.longer_meaning(longer), "longer"),
    )


def _person_figures(person: PersonRow) -> tuple[FigureRow, ...]:
    others = person.with_others
    agreeing = (
        "Nobody else has chosen a side on these pairs."
        if others is None
        else "On pairs where others chose a side too, the share of them who chose the same."
    )
    reliable = (
        "No pair of this person was judged by two people."
        if person.reliability is None
        else "How often right when either answer is the better one, as far as all people’s answers"
        " together tell. Always choosing one side gives about 50%."
    )
    return (
        _share_row("Agrees with others", others, agreeing, "differing"),
        _share_row("Reliability", person.reliability, reliable, "shared"),
        _share_row("Gold items right", person.gold, words.gold_meaning(person.gold), "gold"),
        _share_row("Said the same again", person.repeats, words.repeats_meaning(person.repeats), "repeats"),
        _share_row("Left text chosen", person.left, words.left_meaning(person.left), "left"),
        _share_row("Longer text chosen", person.longer, words.longer_meaning(person.longer), "longer"),
    )  # fmt: skip


def _share_row(name: str, found: Gauged | None, means: str, kind: str) -> FigureRow:
    return FigureRow(
        name=name,
        estimate=found,
        shown=words.share_words(found),
        means=means,
        kind=kind,
        rests_on=_rests(found, "answer"),
        threshold=0.5,
    )


def _rests(found: Gauged | None, unit: str) -> str:
    return f"{found.n:,} {unit}{'' if found.n == 1 else 's'}" if found else ""
