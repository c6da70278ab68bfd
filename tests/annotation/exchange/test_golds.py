"""Rows that say that they are gold: each becomes a gold item of the campaign, and no label."""

from __future__ import annotations

import json
import uuid

import pytest

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Comparison, Judgment, Prompt, Purpose
from annotation.exchange import services
from annotation.exchange.export_options import ExportOptions
from annotation.exchange.importing import import_carry_out
from annotation.exchange.models import ImportJob
from annotation.exchange.records import ImportFailed, ImportOptions
from tests.annotation.factories import a_campaign, an_annotator, label_next

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=61)
PAIR = {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}


@pytest.fixture
def take(tmp_path):
    """Import these rows into a campaign; the job as it ended, with its counts."""

    def take(*rows, campaign=None, name="rows.jsonl", **options) -> ImportJob:
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(row) for row in rows))
        job = services.import_create(
            line_id=LINE, path=path, campaign=campaign, options=ImportOptions(**options)
        )
        done = services.import_run(job_id=job.pk)
        assert done is not None
        return done

    return take


def items() -> list[Comparison]:
    return list(Comparison.objects.filter(purpose=Purpose.GOLD).order_by("created_at"))


def texts(item: Comparison) -> list[str]:
    return [slot.completion.text for slot in item.slots.order_by("position")]


def right(item: Comparison) -> tuple[str, int]:
    """The better text, and by how much: 3 much better."""
    value = item.gold_value or 0
    return texts(item)[value > 4], abs(value - 4)


def test_the_preference_of_a_gold_row_is_the_right_answer_and_no_label(take) -> None:
    job = take(
        {**PAIR, "gold": True, "strength": 3, "gold_accept": 1, "explanation": "Two is the sum."},
        {"prompt": "Why?", "chosen": "a", "rejected": "b"},
    )
    (item,) = items()
    assert right(item) == ("2", 3)
    assert (item.gold_tolerance, item.gold_explanation) == (1, "Two is the sum.")
    assert item.prompt.tags == ["gold"]
    counts = job.counts
    assert (counts["gold_new"], counts["votes_new"], counts["pairs_new"]) == (1, 1, 1)
    assert (counts["rows"], counts["rows_rejected"], counts["unused"]) == (2, 0, {})
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        (PAIR, ("2", 2)),
        ({"prompt": "?", "completions": ["a", "b"], "votes": [{"rater": "w", "value": 6}]}, ("b", 2)),
        ({"prompt": "?", "response_a": "x", "response_b": "y", "winner": "b"}, ("y", 2)),
        ({**PAIR, "tie": True}, ("2", 0)),
    ],
)  # fmt: skip
def test_any_judged_shape_may_be_gold(take, row, answer) -> None:
    take({**row, "gold": "true"})
    (item,) = items()
    better, strength = right(item)
    assert strength == answer[1]
    assert not strength or better == answer[0]


def test_where_the_winner_comes_first_the_slots_are_drawn(take) -> None:
    take(*({**PAIR, "prompt": f"{n}?", "chosen": f"yes {n}", "gold": True} for n in range(20)))
    places = {texts(item)[0].startswith("yes") for item in items()}
    assert places == {True, False}
    assert all(right(item)[0].startswith("yes") for item in items())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chosen": None, "rejected": None, "completions": ["2", "3"]}, "says no right answer"),
        ({"chosen": None, "rejected": None}, "not one pair of answers"),
        ({"chosen": None, "rejected": None, "completions": ["2", "3"],
          "votes": [{"rater": "a", "value": 1}, {"rater": "b", "value": 7}]}, "several right answers"),
        ({"rejected": "2"}, "the two answers are the same"),
        ({"gold_accept": 3}, "gold_accept is 3; it should be a whole number from 0 to 2"),
        ({"explanation": "x" * 2001}, "explanation is longer than 2,000"),
        ({"explanation": 5}, "explanation is a int"),
        ({"strength": 9}, "strength is 9"),
    ],
)  # fmt: skip
def test_a_gold_row_that_says_no_right_answer_is_refused_by_its_line(take, changes, says) -> None:
    row = {k: v for k, v in {**PAIR, "gold": True, **changes}.items() if v is not None}
    job = take({"prompt": "A good one?"}, row)
    rejection = job.rejections.get()
    assert rejection.line_number == 2
    assert says in rejection.reason
    assert not items()


def test_a_prompt_on_which_candidates_are_judged_is_refused_by_its_line(take) -> None:
    take({"prompt": "1 + 1?", "split": "evaluation"})
    job = take({**PAIR, "gold": True}, {"prompt": "Another?"}, name="more.jsonl")
    assert "kept for judging candidates" in job.rejections.get().reason
    assert job.counts["rows_rejected"] == 1
    job = take({**PAIR, "gold": True}, {"prompt": "A third?"}, name="strict.jsonl", strict=True)
    assert "Line 1: This prompt is kept" in job.error
    assert Prompt.objects.count() == 2


def test_a_file_comes_in_once(take) -> None:
    rows = [{**PAIR, "gold": True}, {**PAIR, "prompt": "2 + 2?", "gold": True}]
    take(*rows)
    again = take(*rows, name="renamed.jsonl")
    assert (again.counts["gold_new"], again.counts["gold_known"]) == (0, 2)
    assert len(items()) == 2


def test_the_campaign_of_gold_rows_waits_for_people(take) -> None:
    take({**PAIR, "gold": True})
    assert Campaign.objects.get().state == "draft"


def test_a_field_of_that_name_in_other_people_s_data_is_none_of_ours(take) -> None:
    job = take({**PAIR, "gold": "Paris"}, {**PAIR, "prompt": "2?", "gold": False})
    assert not items()
    assert job.counts["votes_new"] == 2
    assert job.counts["unused"] == {"gold": 1}


def test_rows_that_are_read_with_their_neighbours_are_none(take) -> None:
    with_label = {"prompt": "1 + 1?", "completion": "2", "label": True, "gold": True}
    job = take({"prompt": "x?"}, with_label, {**with_label, "completion": "3", "label": False})
    assert "read with their neighbours" in job.rejections.first().reason


def test_gold_comes_back_from_the_full_export(take, tmp_path) -> None:
    campaign = a_campaign(line_id=LINE, gate_share=0.0, gold_share=1.0, repeat_share=0.0)
    take({**PAIR, "gold": True, "gold_accept": 0, "explanation": "A sum."}, campaign=campaign)
    label_next(an_annotator(campaign), campaign, 2)
    (item,) = items()
    path = tmp_path / "all.jsonl"
    services.export_to_file(
        line_id=LINE, path=path, options=ExportOptions(content="everything", container="jsonl")
    )
    other = uuid.UUID(int=62)
    job = services.import_create(line_id=other, path=path)
    done = services.import_run(job_id=job.pk)
    assert done is not None
    assert done.counts["gold_new"] == 1
    (copy,) = Comparison.objects.filter(campaign__line=other)
    assert (texts(copy), copy.gold_value) == (texts(item), item.gold_value)
    assert (copy.gold_tolerance, copy.gold_explanation) == (0, "A sum.")
    assert not Judgment.objects.filter(assignment__comparison=copy).exists()


def test_a_strict_file_with_a_bad_gold_row_leaves_nothing(take) -> None:
    job = take({**PAIR, "gold": True}, {**PAIR, "gold": True, "gold_accept": 9}, strict=True)
    assert job.state == "failed"
    assert not items()
    with pytest.raises(ImportFailed):
        import_carry_out(job=job)
