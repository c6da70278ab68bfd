"""Rankings in files: whole into a campaign that ranks, as pairs into one of pairs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annotation import facade
from annotation.comparisons.levels import levels_shown
from annotation.comparisons.models import Assignment, Comparison, Judgment, JudgmentValue
from annotation.contracts import SnapshotRecipe
from annotation.exchange.export_options import ExportOptions
from annotation.exchange.exporting import export_write
from annotation.exchange.records import ImportOptions
from annotation.exchange.services import import_create, import_run
from tests.annotation.factories import a_campaign, an_annotator, lease, rank_next, some_rankings

pytestmark = pytest.mark.django_db
NECTAR: dict[str, Any] = {
    "prompt": "Human: How far is it?\n\nAssistant: ",
    "answers": [
        {"answer": "Near.", "rank": 2.0},
        {"answer": "Far.", "rank": 1.0},
        {"answer": "Nobody knows.", "rank": 2.0},
    ],
}
UNRANKED: dict[str, Any] = {
    "prompt": "How high is it?",
    "completions": ["High.", "Low.", "No idea."],
    "split": "train",
}


def taken_in(tmp_path, campaign, *rows, **options):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = import_create(
        line_id=campaign.line,
        path=file,
        name=file.name,
        options=ImportOptions(**options),
        campaign=campaign,
    )
    return import_run(job_id=job.pk)


def test_a_ranking_goes_whole_into_a_campaign_that_ranks_as_many(tmp_path):
    campaign = a_campaign(answers=3)
    job = taken_in(tmp_path, campaign, {**NECTAR, "rater": "gpt", "split": "train"})
    assert (job.counts["rankings_new"], job.counts["votes_new"], job.counts["pairs_new"]) == (
        1,
        1,
        0,
    )
    judgment = Judgment.objects.get()
    order = judgment.assignment.shown_order
    assert levels_shown(judgment.levels or [], order) == [2, 1, 2]
    slots = judgment.assignment.comparison.slots.order_by("position")
    texts = [slot.completion.text for slot in slots]
    assert [texts[slot - 1] for slot in order] == ["Near.", "Far.", "Nobody knows."]
    assert not JudgmentValue.objects.exists()
    rows = list(facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe()))
    assert len(rows) == 3
    again = taken_in(tmp_path, campaign, {**NECTAR, "rater": "gpt", "split": "train"})
    assert (again.counts["rankings_new"], again.counts["votes_known"]) == (0, 1)
    changed = {**NECTAR, "answers": [{**a, "rank": 3 - a["rank"]} for a in NECTAR["answers"]]}
    later = taken_in(tmp_path, campaign, {**changed, "rater": "gpt"})
    assert later.counts["votes_revised"] == 1
    assert Judgment.objects.filter(active=True).get().revision == 2
    assert Comparison.objects.get().judged == 1


def test_the_same_file_is_pairs_in_a_campaign_of_pairs(tmp_path):
    campaign = a_campaign()
    job = taken_in(tmp_path, campaign, NECTAR)
    assert (job.counts["rankings_new"], job.counts["pairs_new"]) == (0, 3)
    assert not Judgment.objects.filter(levels__isnull=False).exists()


def test_completions_that_nobody_ranked_wait_for_people(tmp_path):
    campaign = a_campaign(answers=3)
    job = taken_in(tmp_path, campaign, UNRANKED)
    assert (job.counts["rankings_new"], job.counts["votes_new"]) == (1, 0)
    held = Assignment.objects.get(pk=lease(an_annotator(campaign), campaign).assignment_id)
    assert sorted(held.shown_order) == [1, 2, 3]


@pytest.mark.parametrize(
    ("answers", "row", "says"),
    [
        (4, NECTAR, "has 3 completions; the campaign ranks 4"),
        (3, {"prompt": "x", "chosen": "a", "rejected": "b"}, "compares two completions"),
        (3, {**UNRANKED, "completions": ["a", "b", "a"]}, "stands twice"),
        (2, UNRANKED, "import it into a campaign that ranks 3 answers"),
        (3, {**UNRANKED, "completions": list("abcdefghij")}, "3 to 9 can be put in order"),
    ],
)
def test_a_row_that_does_not_fit_its_campaign_is_turned_away(tmp_path, answers, row, says):
    job = taken_in(tmp_path, a_campaign(answers=answers), row)
    assert job.state == "failed"
    assert says in job.error
    assert not Comparison.objects.exists()


def test_the_full_export_holds_the_order_and_comes_back(tmp_path):
    campaign = a_campaign(answers=4)
    some_rankings(campaign, 1)
    rank_next(an_annotator(campaign), campaign, 2, 1, 2, 3, flags=("unsafe:2",), both_bad=True)
    file = tmp_path / "all.jsonl"
    export_write(line_id=campaign.line, path=file, options=ExportOptions(content="everything"))
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert (row["ranking"], row["value"], row["values"], row["use"]) == (
        [2, 1, 2, 3],
        None,
        [],
        "train",
    )
    assert len(row["completions"]) == 4
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"all.{suffix}"
        export_write(line_id=campaign.line, path=path, options=ExportOptions(content="everything"))
    other = a_campaign(answers=4)
    job = taken_in(tmp_path, other, row)
    assert (job.error, job.counts["votes_new"]) == ("", 1)
    copy = Judgment.objects.get(assignment__comparison__campaign=other)
    texts = {s.position: s.completion.text for s in copy.assignment.comparison.slots.all()}
    told = {texts[n].split()[0]: level for n, level in enumerate(copy.levels or [], 1)}
    assert told == {"first": 2, "second": 1, "third": 2, "fourth": 3}
    assert copy.both_bad
    (flag,) = copy.flags
    (stored,) = Judgment.objects.get(assignment__comparison__campaign=campaign).flags
    assert (
        texts[flag["slot"]].split()[0] == ["first", "second", "third", "fourth"][stored["slot"] - 1]
    )


def test_a_trainer_gets_every_two_of_the_answers(tmp_path):
    campaign = a_campaign(answers=4)
    some_rankings(campaign, 1)
    rank_next(an_annotator(campaign), campaign, 1, 2, 3, 3)
    file = tmp_path / "pairs.jsonl"
    export_write(line_id=campaign.line, path=file, options=ExportOptions())
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    chosen = [row["chosen"][0]["content"].split()[0] for row in rows]
    assert sorted(chosen) == ["first"] * 3 + ["second"] * 2  # the tie has no place there
