"""The frozen record of a round: what it lists of the rounds before."""

from __future__ import annotations

import pytest

from evaluation import facade as evaluation
from outerloop.rounds import record
from outerloop.rounds.models import Round
from outerloop.rounds.record import record_build, record_refresh
from tests.outerloop.rounds.world import bare_line
from training.runs.models import ModelVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def rounds(monkeypatch):
    """Makes closed rounds up to a number, on a line whose reports list three each."""
    monkeypatch.setattr(record, "LISTED", 3)
    line = bare_line()
    version = ModelVersion.objects.create(
        line=line.pk, kind="policy", number=99, name="policy", path="x", sha256="a" * 64
    )

    def upto(last: int) -> Round:
        for number in range(line.rounds.count() + 1, last + 1):
            made = Round.objects.create(
                line=line, number=number, state="CLOSED", trigger="person", plan={},
                incumbent=version.pk,
            )  # fmt: skip
        return made

    return upto


def listed(round_: Round) -> list[int]:
    return [summary.number for summary in record_build(round_).history]


def test_a_report_lists_the_last_rounds_alone(rounds):
    record_refresh(rounds(1))
    record_refresh(rounds(4))
    assert listed(rounds(5)) == [3, 4, 5]


def test_rounds_that_no_report_has_listed_are_listed_however_many_they_are(rounds):
    assert listed(rounds(6)) == [1, 2, 3, 4, 5, 6]
    record_refresh(rounds(7))
    last = rounds(13)
    assert listed(last) == [8, 9, 10, 11, 12, 13]
    record_refresh(last)
    found = evaluation.rounds_rated(last.line_id, newest=50)
    assert [summary.number for summary in found] == list(range(1, 14))


def test_a_late_report_of_an_early_round_lists_nothing_after_it(rounds):
    early = rounds(2)
    record_refresh(rounds(9))
    assert listed(early) == [1, 2]
    assert listed(Round.objects.get(number=5)) == [3, 4, 5]
