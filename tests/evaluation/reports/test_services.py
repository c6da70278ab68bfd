"""Reports are stored once, never changed, and read back as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, transaction

from evaluation.contracts import RoundRecord
from evaluation.reports.models import RoundReport
from evaluation.reports.selectors import (
    history_totals,
    report_get,
    report_of_number,
    rounds_rated,
)
from evaluation.reports.services import report_store
from tests.evaluation.reports import records
from training.contracts import canonical_json, json_sha256

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", ["PROMOTED", "REJECTED", "INCONCLUSIVE", "BARE", "LONG"])
def test_a_stored_record_comes_back_equal(name: str) -> None:
    record = getattr(records, name)
    stored = report_store(record=record)
    assert RoundReport.objects.get().frozen == stored.frozen == record
    assert stored.sha256 == json_sha256(record.to_json())
    assert RoundReport.objects.get().document() == record_document(record)


def record_document(record: RoundRecord) -> Any:
    return json.loads(canonical_json(record.to_json()))


def test_what_an_earlier_release_stored_keeps_its_digest() -> None:
    """It had a field that is gone, lacked one that is new, and met overwhelming evidence."""
    assert records.PROMOTED.human is not None
    human = replace(records.PROMOTED.human, e_value=1e16, max_e_value=4e20)
    told = record_document(replace(records.PROMOTED, human=human)) | {"curve_fits": []}
    del told["line_name"]
    RoundReport.objects.create(
        round=UUID(records.PROMOTED.round_id),
        line=UUID(records.LINE),
        line_slug="help-desk",
        number=7,
        revision=1,
        record=told,
        sha256=json_sha256(told),
    )
    read = RoundReport.objects.get()
    assert json_sha256(read.document()) == read.sha256
    assert read.frozen == replace(records.PROMOTED, human=human, line_name="")


def test_the_same_record_again_stores_nothing_new() -> None:
    first = report_store(record=records.PROMOTED)
    assert report_store(record=records.PROMOTED) == first
    assert RoundReport.objects.count() == 1


def test_a_later_state_is_the_next_revision_and_the_one_that_is_read() -> None:
    report_store(record=replace(records.PROMOTED, deployments=()))
    second = report_store(record=records.PROMOTED)
    assert second.revision == 2
    assert report_get(UUID(records.PROMOTED.round_id)) == second.frozen
    assert report_of_number(UUID(records.LINE), 7) == second


def test_a_state_that_returns_is_a_third_revision() -> None:
    for record in (records.PROMOTED, replace(records.PROMOTED, approvals=()), records.PROMOTED):
        last = report_store(record=record)
    assert last.revision == 3


def test_the_database_refuses_to_change_or_delete_a_report() -> None:
    report_store(record=records.PROMOTED)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        RoundReport.objects.update(number=99)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        RoundReport.objects.all().delete()


def test_a_record_without_its_ids_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="round 7 needs line_id, a UUID"):
        report_store(record=replace(records.PROMOTED, line_id=""))


def test_a_number_that_is_not_finite_is_named() -> None:
    points = (replace(records.PROMOTED.trajectory[0], win_rate=float("nan")),)
    with pytest.raises(
        ValueError, match=r"record\.trajectory\[0\]\.win_rate is not a finite number"
    ):
        report_store(record=replace(records.PROMOTED, trajectory=points))


def test_a_late_revision_of_an_old_round_does_not_hide_the_newer_rounds() -> None:
    report_store(record=replace(records.PROMOTED, approvals=()))
    report_store(record=records.INCONCLUSIVE)  # lists rounds 1 to 9
    corrected = tuple(
        replace(s, deployed_version="late") if s.number == 7 else s for s in records.history(7)
    )
    report_store(record=replace(records.PROMOTED, history=corrected))
    found = rounds_rated(UUID(records.LINE), newest=20)
    assert [s.number for s in found] == list(range(1, 10))
    assert found[6].deployed_version == "late"


def test_rounds_with_an_override_are_counted_once() -> None:
    report_store(record=records.PROMOTED)
    report_store(record=records.OVERRIDDEN)
    assert history_totals(UUID(records.LINE)).overridden == 1
