"""The real crowd votes and transcripts, against counts made independently of the importer."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from annotation.exchange.selectors import rejections_of
from annotation.exchange.services import import_create, import_run
from tests.support.crowd_votes import (
    DATA,
    VOTES,
    Counted,
    assert_all_is_in,
    counted,
    part_write,
    rows_read,
)

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def real(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not there; set OUTERLOOP_REAL_DATA to the folder that holds it.")
    return path


def test_every_vote_on_convincing_arguments_goes_in(tmp_path: Path) -> None:
    """Of the first ten arguments of each stance; `python -m benchmarks.real_votes` takes all in."""
    real(VOTES)
    path, line = tmp_path / VOTES.name, uuid.uuid4()
    rows = part_write(path)
    assert counted(rows) == Counted(
        rows=1_100, votes=5_491, pairs=1_082, revised=5, reversed=10, repeated=8,
        of_one_text=2, raters=1_472, debates=16, stances=24,
    )  # fmt: skip
    job = import_run(job_id=import_create(line_id=line, path=path).pk)
    assert job is not None
    assert job.state == "done", job.error
    assert_all_is_in(rows, job.counts, line)


TURN = re.compile(r"\n\n(Human|Assistant):")
EMPTY_TURN = re.compile(r"(?:Human|Assistant):\s*(?:\n\n(?:Human|Assistant):|$)")


def _one_answer_each(row: dict) -> bool:
    """Whether both transcripts take turns, say something each time and differ in the last only."""
    for text in (row["chosen"], row["rejected"]):
        speakers = TURN.findall(text)
        if speakers != ["Human", "Assistant"] * (len(speakers) // 2) or EMPTY_TURN.search(text):
            return False
    before: list[str] = [
        row[key].rpartition("\n\nAssistant:")[0].strip() for key in ("chosen", "rejected")
    ]
    return before[0] == before[1]


def test_the_transcripts_go_in_but_for_those_that_do_not_part_at_one_answer() -> None:
    path = real(DATA / "hh_harmless.jsonl.gz")
    rows = rows_read(path)
    job = import_run(job_id=import_create(line_id=uuid.uuid4(), path=path).pk)
    assert job is not None
    assert job.state == "done", job.error
    bad = [number for number, row in enumerate(rows, 1) if not _one_answer_each(row)]
    assert len(bad) == 8
    assert [r.line_number for r in rejections_of(job_id=job.pk)] == bad
    counts = job.counts
    assert (counts["rows"], counts["rows_rejected"]) == (1_541, 8)
    assert (counts["pairs_new"], counts["votes_new"], counts["prompts_new"]) == (
        1_533,
        1_533,
        1_532,
    )
