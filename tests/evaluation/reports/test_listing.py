"""The small row of each round: kept by every stored report, and as the reports say."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evaluation.contracts import RoundSummary
from evaluation.reports.listing import listing_mend, listing_wrong
from evaluation.reports.models import ListedRound
from evaluation.reports.selectors import history_totals, rounds_rated
from evaluation.reports.services import report_store
from tests.evaluation.reports import records

pytestmark = pytest.mark.django_db
LINE = UUID(records.LINE)


def stored(number: int, history: tuple[RoundSummary, ...], **changed: Any) -> None:
    report_store(
        record=replace(
            records.PROMOTED,
            round_id=records.round_id(number),
            number=number,
            candidate_version=f"v{number}",
            incumbent_version=f"v{number - 1}",
            history=history,
            **changed,
        )
    )


def unrated(rounds: int) -> tuple[RoundSummary, ...]:
    return tuple(replace(s, rating=None) for s in records.history(rounds))


def rows() -> list[dict[str, Any]]:
    return [dict(row) for row in ListedRound.objects.order_by("number").values()]


def as_made(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without their ids, and the ratings as near as they are kept."""
    for row in found:
        del row["id"]
        if row["rating"]:
            row["rating"] = pytest.approx(row["rating"]["estimate"], abs=2e-3)
    return found


def as_rated(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in found:
        del row["id"]
        row["rating"] = row["rating"] and row["rating"]["estimate"]
    return found


def test_a_report_that_lists_only_the_last_rounds_keeps_the_earlier_ones() -> None:
    for number in range(1, 8):
        stored(number, unrated(number)[-3:])
    found = rounds_rated(LINE, newest=50)
    assert [s.number for s in found] == list(range(1, 8))
    assert [s.number for s in rounds_rated(LINE, newest=2)] == [6, 7]
    assert all(row["reported"] for row in rows())


def test_a_round_without_a_report_is_listed_by_the_next_one() -> None:
    stored(3, unrated(3))
    assert [(row["number"], row["reported"], row["candidate"]) for row in rows()] == [
        (1, False, ""),
        (2, False, ""),
        (3, True, "v3"),
    ]


def test_a_round_that_a_later_report_lists_first_is_told_of_by_its_own() -> None:
    stored(6, (), overrides=records.OVERRIDDEN.overrides)
    assert rows() == []
    stored(7, unrated(7)[-2:])
    own = [(row["number"], row["reported"], row["candidate"], row["overridden"]) for row in rows()]
    assert own == [(6, True, "v6", True), (7, True, "v7", False)]


def test_totals_are_of_all_rounds() -> None:
    stored(9, unrated(9))
    found = history_totals(LINE)
    # by the turn of PROMOTE, REJECT, PROMOTE, INCONCLUSIVE from round 0 on
    assert found.verdicts == {"PROMOTE": 4, "REJECT": 3, "INCONCLUSIVE": 2}
    assert (found.rounds, found.overridden) == (9, 0)
    assert found.compute_hours == pytest.approx(0.2 * 45)


def test_later_labels_move_the_ratings_of_earlier_rounds() -> None:
    stored(1, unrated(1))
    (before,) = rows()
    stored(2, unrated(2))  # round 2 has no labels
    assert rows()[0]["rating"] == before["rating"]
    for number in (3, 4):
        stored(number, unrated(number))
    stored(5, unrated(5))
    found = {s.number: s.rating for s in rounds_rated(LINE, newest=9)}
    assert {number for number, rating in found.items() if rating} == {1, 3, 4, 5}
    # rounds 3 to 5 are a chain of their own, whose first policy met only them
    moved = [row["rating"] for row in rows()]
    stored(5, (*unrated(4), replace(unrated(5)[4], win_rate=records.around(0.9, 0.02))))
    assert moved[3] != rows()[3]["rating"]


def test_storing_a_report_costs_as_many_queries_late_as_early() -> None:
    def queries(number: int) -> int:
        with CaptureQueriesContext(connection) as sent:
            stored(number, unrated(number)[-5:])
        return len(sent)

    for number in range(1, 8):
        stored(number, unrated(number)[-5:])
    few = queries(8)
    for number in range(9, 30):
        stored(number, unrated(number)[-5:])
    assert queries(30) == few


def test_rows_that_differ_from_the_reports_are_found_and_mended() -> None:
    for number in (1, 2, 4):
        stored(number, unrated(number))
    right = as_made(rows())
    assert listing_wrong() == set()
    ListedRound.objects.filter(number=2).update(summary={"number": 2, "state": "", "verdict": None})
    assert listing_wrong() == {LINE}
    listing_mend()
    assert listing_wrong() == set()
    ListedRound.objects.filter(number=4).delete()
    assert listing_wrong() == {LINE}
    listing_mend()
    assert [row["number"] for row in rows()] == [1, 2, 3, 4]
    assert as_rated(rows()) == right


def test_the_upgrade_lists_what_the_stored_reports_list() -> None:
    for number in (1, 2, 4, 5):
        stored(number, unrated(number)[-2:])
    stored(2, unrated(2), overrides=records.OVERRIDDEN.overrides)
    right = as_made(rows())
    ListedRound.objects.all().delete()
    upgrade = import_module("evaluation.reports.migrations.0003_listed_rounds")
    with connection.cursor() as cursor:
        cursor.execute(upgrade.LIST)
    upgrade.rate(apps, None)
    assert as_rated(rows()) == right
