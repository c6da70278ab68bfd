"""A lead leaves the three worst workers of real votes out, on the pages; alpha is the package's before and after.

A part of the file; `python -m benchmarks.worst_workers` does it with as many votes as the quality page reads.
"""

from __future__ import annotations

import uuid

import pytest

from annotation.campaigns.models import Campaign
from annotation.exchange.services import import_create, import_run
from tests.support.crowd_left_out import (
    FEWEST,
    WORST,
    figures,
    file_names,
    leave_out,
    page_says,
    says,
    without,
    worst_workers,
)
from tests.support.crowd_votes import VOTES, part_of, rows_read, rows_write
from tests.support.given import given
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not VOTES.exists(), reason=f"{VOTES} is not there; OUTERLOOP_REAL_DATA names its folder."
    ),
]
LINE = uuid.UUID(int=92)


def test_without_the_three_worst_workers_alpha_is_that_of_the_votes_that_are_left(visit, tmp_path):
    rows = without(part_of(rows_read(VOTES)), ())  # of two texts each
    job = given(import_run(job_id=import_create(line_id=LINE, path=rows_write(rows, tmp_path)).pk))
    assert job.state == "done", job.error
    campaign = Campaign.objects.get()
    before = figures(campaign, rows, ())
    page = visit(person_create("lea", "lead", line=LINE), f"/campaigns/{campaign.pk}/quality/")
    page.set_default_timeout(60_000)
    told = page_says(page, campaign)

    worst = worst_workers(page, campaign, tmp_path)
    assert len(worst) == WORST
    assert all(worker.labels >= FEWEST for worker in worst)
    left = [leave_out(page, campaign, worker) for worker in worst]
    after = figures(campaign, rows, file_names(worst))
    told_after = page_says(page, campaign)

    for found, words in ((before, told), (after, told_after)):
        assert (found.alpha_side[0], found.alpha_steps[0]) == pytest.approx(found.package, abs=1e-9)
        assert words["Krippendorff’s alpha, side only"] == says(found.alpha_side)
        assert words["Krippendorff’s alpha, seven steps"] == says(found.alpha_steps)
    assert after.people == before.people - WORST
    assert (left[0][0], left[-1][1]) == (before.labels, after.labels)
    assert before.labels - after.labels == sum(worker.labels for worker in worst)
    assert after.alpha_side[0] > before.alpha_side[0]
