"""What Outerloop writes it reads back: votes with all that they say, in every container and format."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Judgment, Prompt, Slot
from annotation.comparisons.records import Answer, Span
from annotation.comparisons.services import judgment_revise
from annotation.comparisons.services.settling import pair_settle
from annotation.exchange.export_options import ExportOptions
from annotation.exchange.exporting import export_write
from annotation.exchange.records import ImportOptions
from annotation.exchange.selectors import rejections_of
from annotation.exchange.services import import_create, import_run
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    rank_next,
    some_pairs,
    some_rankings,
)

pytestmark = pytest.mark.django_db
HOME, AWAY = uuid.UUID(int=61), uuid.UUID(int=62)


@pytest.fixture
def campaign() -> Campaign:
    """Four labels, each with something else beside it; one of them edited."""
    campaign = a_campaign(
        line_id=HOME, criteria=(("tone", "Tone"),), span_labels=[{"name": "Wrong fact"}]
    )
    some_pairs(campaign, 4, split="train", tags=("math",))
    rater = an_annotator(campaign)
    label_next(rater, campaign, 1, flags=("refusal", "unsafe:left"), seconds=6.5)
    label_next(rater, campaign, 4, both_bad=True, rationale="'Both' are\nbad, \"quite\" so.")
    marks = (Span("left", 0, 5, "wrong-fact"), Span("right", 2, 7, "wrong-fact"))
    label_next(rater, campaign, 5, rationale="=1+1", spans=marks)
    edited = label_next(rater, campaign, 7)
    answer = Answer({"overall": 3, "tone": 6})
    judgment_revise(
        rater=rater, assignment_id=edited.assignment_id, answer=answer, idempotency_key="edit"
    )
    return campaign


def said(line: uuid.UUID) -> set[tuple]:
    """Each label that counts: prompt, texts in slot order, and everything in the judgment."""
    found = set()
    rows = Judgment.objects.filter(active=True, assignment__comparison__campaign__line=line)
    for judgment in rows:
        comparison = judgment.assignment.comparison
        slots = Slot.objects.filter(comparison=comparison).order_by("position")
        found.add(
            (
                comparison.prompt.messages[0]["content"],
                comparison.prompt.split,
                comparison.prompt.root_hash,
                tuple(comparison.prompt.tags),
                tuple(slots.values_list("completion__text", flat=True)),
                tuple(sorted(judgment.values.values_list("criterion__key", "value"))),
                judgment.both_bad,
                tuple((flag["key"], flag["slot"]) for flag in judgment.flags),
                tuple((s["label"], s["slot"], s["start"], s["end"]) for s in judgment.spans),
                judgment.rationale,
                judgment.seconds,
                judgment.created_at,
            )
        )
    return found


def taken(path: Path, **options):
    job = import_create(line_id=AWAY, path=path, options=ImportOptions(**options))
    done = import_run(job_id=job.pk)
    assert done is not None
    assert done.state == "done", done.error
    return done


@pytest.mark.parametrize(
    "name", ["all.jsonl", "all.jsonl.gz", "all.csv", "all.csv.gz", "all.parquet", "all", "all.zip"]
)
def test_the_full_export_comes_back_with_all_that_was_said(campaign, tmp_path, name):
    path = tmp_path / name
    container = {"all.parquet": "parquet", "all": "dataset", "all.zip": "dataset"}.get(name)
    container = container or ("csv" if ".csv" in name else "jsonl")
    options = ExportOptions(content="everything", container=container)
    export_write(line_id=HOME, path=path, options=options)
    job = taken(path)
    assert said(AWAY) == said(HOME)
    assert len(said(AWAY)) == 4
    assert sum(len(judgment.spans) for judgment in Judgment.objects.all()) == 4
    (closed,) = Campaign.objects.filter(line=AWAY)
    assert [label["name"] for label in closed.span_labels] == ["Wrong fact"]
    (history,) = rejections_of(job_id=job.pk)
    assert history.reason == "The judgment does not count: superseded by a later answer."
    again = taken(path)
    assert (again.counts["votes_new"], again.counts["votes_known"]) == (0, 4)


def test_of_a_settled_pair_the_answer_comes_back_and_the_votes_that_it_replaced_do_not(tmp_path):
    campaign = a_campaign(line_id=HOME)
    (pair,) = some_pairs(campaign, 1, split="train")
    label_next(an_annotator(campaign), campaign, 2)
    pair_settle(rater=an_annotator(campaign), comparison=pair, value=7, reason="It is wrong.")
    path = tmp_path / "all.jsonl"
    export_write(line_id=HOME, path=path, options=ExportOptions(content="everything"))
    job = taken(path)
    (away,) = Judgment.objects.filter(assignment__comparison__campaign__line=AWAY)
    assert (away.values.get().value, away.rationale) == (7, "It is wrong.")
    (vote,) = rejections_of(job_id=job.pk)
    assert vote.reason == (
        "The judgment does not count: votes on pairs that an adjudicator has settled; that answer trains"
        " in their place."
    )
    assert job.counts["unused"].keys().isdisjoint({"active", "surplus", "excluded", "withdrawn"})


@pytest.mark.parametrize("content", ["everything", "training"])
def test_an_export_that_comes_back_into_its_own_campaign_adds_nothing(campaign, tmp_path, content):
    """And what somebody has said since then is not undone by it."""
    path = tmp_path / "all.jsonl"
    export_write(line_id=HOME, path=path, options=ExportOptions(content=content, ties=True))
    edited = Judgment.objects.filter(active=True).order_by("created_at")[0]
    judgment_revise(
        rater=edited.rater,
        assignment_id=edited.assignment_id,
        answer=Answer({"overall": 6}),
        idempotency_key="since",
    )
    before = said(HOME), Judgment.objects.count(), Rater.objects.count()
    job = import_create(line_id=HOME, path=path, campaign=campaign)
    done = import_run(job_id=job.pk)
    assert done is not None
    assert (done.counts["votes_new"], done.counts["votes_known"]) == (0, 4)
    assert (done.counts["pairs_new"], done.counts["raters_new"]) == (0, 0)
    assert (said(HOME), Judgment.objects.count(), Rater.objects.count()) == before


def debates(path: Path) -> Path:
    """Two stances of one debate, two pairs a stance, two votes a pair."""
    rows = [
        {
            "debate_title": "Tea or coffee",
            "stance": stance,
            "a1": f"{stance}, for {n} reasons.",
            "a2": f"{stance}, and no more of it.",
            "votes": [{"worker": "w1", "value": "a1"}, {"worker": "w2", "value": "a2"}],
        }
        for stance in ("Tea", "Coffee")
        for n in (2, 3)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("content", ["everything", "training"])
@pytest.mark.parametrize("line", [HOME, AWAY])
def test_prompts_of_a_group_come_back_to_it(tmp_path, content, line):
    """In their own campaign, and in another line where the file is the first of the group."""
    first = import_create(line_id=HOME, path=debates(tmp_path / "debates.jsonl"))
    import_run(job_id=first.pk)
    roots = set(Prompt.objects.filter(line=HOME).values_list("root_hash", flat=True))
    assert len(roots) == 1
    path = tmp_path / "labels.jsonl"
    export_write(line_id=HOME, path=path, options=ExportOptions(content=content))
    campaign = Campaign.objects.get(line=HOME) if line == HOME else None
    job = import_run(job_id=import_create(line_id=line, path=path, campaign=campaign).pk)
    assert job is not None
    new = 0 if line == HOME else 1
    told = [job.counts[name] for name in ("prompts_new", "pairs_new", "votes_new", "rows_rejected")]
    assert told == [2 * new, 4 * new, 8 * new, 0]
    assert set(Prompt.objects.filter(line=line).values_list("root_hash", flat=True)) == roots
    again = import_create(line_id=line, path=tmp_path / "debates.jsonl", campaign=campaign)
    done = import_run(job_id=again.pk)
    assert done is not None
    assert (done.counts["prompts_new"], done.counts["pairs_new"]) == (0, 0)


@pytest.mark.parametrize("layout", ["explicit", "implicit", "unpaired"])
@pytest.mark.parametrize("shape", ["plain", "conversational"])
@pytest.mark.parametrize("container", ["jsonl", "csv", "parquet"])
def test_training_labels_come_back_with_their_system_turn(tmp_path, layout, shape, container):
    campaign = a_campaign(line_id=HOME)
    (pair,) = some_pairs(campaign, 1, split="train")
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "2+2?"},
    ]
    Prompt.objects.filter(pk=pair.prompt_id).update(messages=messages)
    rater = an_annotator(campaign)
    label_next(rater, campaign, 1)
    path = tmp_path / f"labels.{container}"
    options = ExportOptions(layout=layout, shape=shape, container=container)
    export_write(line_id=HOME, path=path, options=options)
    job = taken(path)
    assert (job.counts["votes_new"], job.counts["rows_rejected"]) == (1, 0)
    assert Prompt.objects.get(line=AWAY).messages == messages
    (home,), (away,) = (
        Judgment.objects.filter(assignment__comparison__campaign__line=line)
        for line in (HOME, AWAY)
    )
    assert away.created_at == home.created_at
    assert better(away) == better(home)
    assert abs(away.values.get().value - 4) == 3  # much better


def better(judgment: Judgment) -> str:
    position = 1 if judgment.values.get().value < 4 else 2
    slot = judgment.assignment.comparison.slots.get(position=position)
    return slot.completion.text


def _written(campaign: Campaign, tmp_path: Path) -> list[dict]:
    path = tmp_path / "all.jsonl"
    export_write(line_id=HOME, path=path, options=ExportOptions(content="everything"))
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"end": 4000}, "spans[0].end"),
        ({"slot": 3}, "spans[0].slot"),
        ({"start": 30, "end": 2}, "spans[0]"),
        ({"label": "Not a key"}, "spans[0].label is 'Not a key'"),
    ],
)
def test_a_mark_that_is_not_within_its_text_turns_the_row_away(campaign, tmp_path, change, reason):
    rows = [row for row in _written(campaign, tmp_path) if row["active"]]
    (marked,) = (row for row in rows if row["spans"])
    marked["spans"][0].update(change)
    path = tmp_path / "changed.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    job = taken(path)
    (rejected,) = rejections_of(job_id=job.pk)
    assert reason in rejected.reason


def test_marks_of_labels_that_an_open_campaign_lacks_are_told_as_not_used(campaign, tmp_path):
    rows = [row for row in _written(campaign, tmp_path) if row["spans"]]
    path = tmp_path / "marked.jsonl"
    path.write_text(json.dumps(rows[0]))
    asking = a_campaign(line_id=AWAY, span_labels=[{"name": "Other"}])
    done = import_run(job_id=import_create(line_id=AWAY, path=path, campaign=asking).pk)
    assert done is not None
    assert done.counts["votes_new"] == 1
    assert done.counts["unused"]["label wrong-fact"] == 1
    assert Judgment.objects.get(assignment__comparison__campaign=asking).spans == []


def test_marks_of_ranked_answers_come_back(tmp_path):
    orders = a_campaign(line_id=HOME, answers=3, span_labels=[{"name": "Wrong fact"}])
    some_rankings(orders, 1)
    rater = an_annotator(orders)
    rank_next(rater, orders, 2, 1, 3, spans=(Span("3", 1, 5, "wrong-fact"),))
    _written(orders, tmp_path)
    away = a_campaign(line_id=AWAY, answers=3, span_labels=[{"name": "Wrong fact"}])
    path = tmp_path / "all.jsonl"
    import_run(job_id=import_create(line_id=AWAY, path=path, campaign=away).pk)
    (home,) = Judgment.objects.filter(rater=rater)
    (back,) = Judgment.objects.filter(assignment__comparison__campaign=away)

    def texts(judgment):
        slots = judgment.assignment.comparison.slots.values_list("position", "completion__text")
        return [dict(slots)[s["slot"]][s["start"] : s["end"]] for s in judgment.spans]

    assert texts(back) == texts(home) != []
