"""The real crowd votes on convincing arguments: published agreement, and the file's own aggregated choice."""

from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path

import krippendorff
import numpy as np
import pytest

from annotation.campaigns.models import Campaign
from annotation.exchange.services import import_create, import_run
from annotation.quality.answers import answer_arrays
from annotation.quality.measures import agreement, reliabilities
from annotation.statistics.agreement import alpha_estimate, vote_counts
from annotation.statistics.reliability import reliability_fit
from tests.support.crowd_votes import VOTES, ballots, part_of, rows_read
from tests.support.given import given

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not VOTES.exists(), reason=f"{VOTES} is not there; OUTERLOOP_REAL_DATA names its folder."
    ),
]


def test_alpha_of_all_votes_is_the_published_one() -> None:
    """Habernal and Gurevych (2016) report 0.27; the package says what it is on the last words."""
    votes = ballots(rows_read(VOTES))
    found = given(alpha_estimate(*vote_counts(votes.pair, votes.answer, 3), metric="nominal"))
    assert found.value == pytest.approx(0.27, abs=0.005)
    assert found.high - found.low < 0.02


def test_reliability_weighs_votes_better_than_counting_them() -> None:
    """Against the file's aggregated choice, which was made from the same votes by another model."""
    votes = ballots(rows_read(VOTES))
    fit = reliability_fit(votes.pair, votes.rater, votes.answer, np.zeros_like(votes.pair))
    known = votes.gold >= 0
    right = (2 * (fit.second > 0.5) == votes.gold)[known].mean()
    lead = np.bincount(votes.pair, weights=votes.answer - 1)
    by_count = np.where(lead == 0, 0.5, np.sign(lead) + 1 == votes.gold)[known].mean()
    assert known.sum() > 9_000
    assert by_count == pytest.approx(0.953, abs=0.005)
    assert right > by_count + 0.01


@pytest.mark.django_db
def test_what_the_page_says_of_imported_votes_is_what_the_package_says_of_the_file(
    tmp_path: Path,
) -> None:
    rows = [row for row in part_of(rows_read(VOTES)) if row["a1"] != row["a2"]]
    path = tmp_path / VOTES.name
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    job = given(import_run(job_id=import_create(line_id=uuid.uuid4(), path=path).pk))
    assert job.state == "done", job.error
    answers = answer_arrays(campaign=Campaign.objects.get())
    found, votes = agreement(answers), ballots(rows)
    nominal = krippendorff.alpha(votes.matrix(), level_of_measurement="nominal")
    assert given(found.alpha_side).value == pytest.approx(nominal, abs=1e-9)
    ordinal = krippendorff.alpha(votes.matrix(), level_of_measurement="ordinal")
    assert given(found.alpha_steps).value == pytest.approx(ordinal, abs=1e-9)
    shares = [given(each) for each in reliabilities(answers)]
    assert len(shares) == votes.rater.max() + 1
    assert 0.6 < float(np.median([share.value for share in shares])) < 0.9
