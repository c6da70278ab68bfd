"""Imports belong to their campaign: the same file counts in each, and nowhere twice."""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError

from annotation import facade
from annotation.accounts.models import Rater
from annotation.accounts.services import imported_raters
from annotation.campaigns.models import Campaign, Criterion
from annotation.campaigns.services import campaign_create
from annotation.comparisons import digests
from annotation.comparisons.models import Assignment, Comparison, Judgment, JudgmentValue, Slot
from annotation.comparisons.services import completions_ensure, pairs_create, prompts_ensure
from annotation.comparisons.services.material import slots_for
from annotation.contracts import NewCompletion, NewPair, NewPrompt, SnapshotRecipe
from annotation.exchange.records import ImportOptions
from annotation.exchange.selectors import rejections_of
from annotation.exchange.services import import_create, import_run
from annotation.exchange.votes import VoteBook
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER = uuid.UUID(int=51), uuid.UUID(int=52)
ROWS = [
    {
        "prompt": "Q1",
        "completions": ["a", "b"],
        "votes": [{"rater": "w1", "value": 1}, {"rater": "w2", "value": 4}],
        "split": "train",
    },
    {
        "prompt": "Q1",
        "completions": ["b", "a"],
        "votes": [{"rater": "w1", "value": 1}],
        "split": "train",
    },
    {"prompt": "Q2", "chosen": "c", "rejected": "d", "split": "train"},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "crowd.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


def taken(path, *, line=LINE, campaign=None, **options):
    job = import_create(
        line_id=line, path=path, options=ImportOptions(**options), campaign=campaign
    )
    done = import_run(job_id=job.pk)
    assert done is not None
    assert done.state == "done", done.error
    return done


def labels(line=LINE) -> int:
    return len(list(facade.preferences_stream(line_id=line, recipe=SnapshotRecipe())))


def votes(job):
    return tuple(job.counts[f"votes_{name}"] for name in ("new", "revised", "known"))


def test_one_file_counts_in_two_lines_and_in_two_campaigns_of_one(file):
    jobs = [
        taken(file),
        taken(file, line=OTHER),
        taken(file, campaign=campaign_create(line_id=LINE, name="Second", state="closed")),
        taken(file, source="crowd"),
        taken(file, source="crowd", line=OTHER),
    ]
    assert [votes(job) for job in jobs] == [(4, 1, 0)] * 5
    assert [job.counts["rows_rejected"] for job in jobs] == [0] * 5
    assert (labels(LINE), labels(OTHER)) == (9, 6)  # w1 and w2 on Q1, one on Q2, in each campaign
    # three raters in each of three campaigns, and three of the source, wherever they judge
    assert Rater.objects.count() == 12


def test_a_renamed_copy_brings_neither_a_label_nor_a_rater(file, tmp_path):
    copy = tmp_path / "the same once more.jsonl"
    shutil.copy(file, copy)
    campaign = campaign_create(line_id=LINE, name="Second", state="closed")
    for more in ({}, {"campaign": campaign}, {"source": "crowd"}):
        taken(file, **more)
        before = list(Judgment.objects.order_by("pk").values()), Rater.objects.count()
        again = taken(copy, **more)
        assert votes(again) == (0, 0, 4)
        assert (again.counts["pairs_new"], again.counts["raters_new"]) == (0, 0)
        assert (list(Judgment.objects.order_by("pk").values()), Rater.objects.count()) == before
    assert {c.name for c in Campaign.objects.all()} == {"Imported judgments", "Second", "crowd"}


def test_two_equal_votes_in_one_file_are_two_and_stay_two(tmp_path):
    """w1 says a, then b, then a again: the last word is a, whichever way the file comes again."""
    said = [
        {"prompt": "Q", "completions": ["a", "b"], "votes": [{"rater": "w1", "value": value}]}
        for value in (1, 7, 1)
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, said)))
    assert votes(taken(path)) == (3, 2, 0)
    assert votes(taken(path)) == (0, 0, 3)
    assert JudgmentValue.objects.get(judgment__active=True).value == 1


def kept_by_an_earlier_release(path) -> Campaign:
    """What a release before this one stored of ROWS[0]: raters by the file's name, keys without campaign."""
    campaign = campaign_create(line_id=LINE, name="crowd", state="closed")
    (prompt,) = prompts_ensure(
        line_id=LINE,
        prompts=[NewPrompt(messages=({"role": "user", "content": "Q1"},), split="train")],
    )
    completions = completions_ensure(texts=[(prompt, "a"), (prompt, "b")])
    pair = Comparison.objects.create(
        campaign=campaign,
        prompt=prompt,
        pair_digest=digests.pair_digest(prompt.digest, [c.text_sha256 for c in completions]),
        wanted=2,
        judged=2,
        source="crowd",
    )
    for slot in slots_for(pair, completions):
        slot.save()
    raters = imported_raters(source="crowd", external_ids=["w1", "w2"])
    for number, (name, value) in enumerate((("w1", 1), ("w2", 4))):
        assignment = Assignment.objects.create(
            comparison=pair, rater=raters[name], shown_order=[1, 2], state="submitted"
        )
        key = "import-" + digests.sha256(prompt.digest, "a", "b", "", str(number), name, str(value))
        judgment = Judgment.objects.create(
            assignment=assignment, rater=raters[name], idempotency_key=key
        )
        criterion = campaign.criteria.get()
        JudgmentValue.objects.create(judgment=judgment, criterion=criterion, value=value)
    return campaign


def test_votes_kept_under_the_keys_of_an_earlier_release_are_known_again(tmp_path):
    path = tmp_path / "crowd.jsonl"
    path.write_text(json.dumps(ROWS[0]))
    campaign = kept_by_an_earlier_release(path)
    for name in ("crowd.jsonl", "renamed.jsonl"):
        shutil.copy(path, tmp_path / name) if name != path.name else None
        job = taken(tmp_path / name, **({} if name == path.name else {"campaign": campaign}))
        assert job.campaign == campaign
        assert votes(job) == (0, 0, 2)
    assert (Judgment.objects.count(), Rater.objects.count()) == (2, 2)


def test_a_vote_on_a_pair_whose_texts_a_model_wrote_keeps_its_direction(tmp_path):
    """The pair was sampled here; the file has the same two texts, once in its order and once turned."""
    campaign = campaign_create(line_id=LINE, name="crowd", state="closed")
    asked = NewPrompt(messages=({"role": "user", "content": "Q1"},), split="train")
    (prompt,) = prompts_ensure(line_id=LINE, prompts=[asked])
    first, second = (NewCompletion(text, model_version=uuid.uuid4()) for text in ("a", "b"))
    pairs_create(campaign=campaign, purpose="training", pairs=[NewPair(prompt.pk, (first, second))])
    left, right = Slot.objects.order_by("position").values_list("completion__text", flat=True)
    path = tmp_path / "f.jsonl"
    rows = [
        {"prompt": "Q1", "completions": texts, "votes": [{"rater": rater, "value": 2}]}
        for rater, texts in (("w1", [left, right]), ("w2", [right, left]))
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    job = taken(path, campaign=campaign)
    assert (job.counts["pairs_repeated"], job.counts["pairs_reversed"]) == (1, 1)
    said = JudgmentValue.objects.values_list("judgment__rater__external_id", "value")
    assert dict(said) == {"w1": 2, "w2": 6}


def test_a_rater_named_alike_in_another_campaign_is_somebody_else(file):
    taken(file, campaign=campaign_create(line_id=LINE, name="One", state="closed"))
    taken(file, campaign=campaign_create(line_id=LINE, name="Two", state="closed"))
    assert sorted(Rater.objects.filter(external_id="w1").values_list("source", flat=True)) == [
        "one",
        "two",
    ]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("content", ["", '{"prompt": ""}', '{"oddity": 1}', "[1, 2"])
def test_a_failed_import_leaves_no_campaign_and_ends_with_a_sentence(
    tmp_path, content, strict, capsys
):
    path = tmp_path / "f.jsonl"
    path.write_text(content)
    with pytest.raises(CommandError, match=r"[a-z]\."):
        call_command("import_judgments", str(path), line=str(LINE), strict=strict)
    assert not Campaign.objects.exists()


def test_what_the_database_refuses_is_said_without_its_words(tmp_path, monkeypatch, capsys):
    """The pair of the second row is refused while it is stored; the rows around it go in."""

    def write(book, *, stored):
        if any(vote.rationale == "poison" for vote in book.judgments):
            raise DataError('value too long for type character varying(40)\nCONTEXT: COPY "x"')
        return original(book, stored=stored)

    original = VoteBook.write
    monkeypatch.setattr(VoteBook, "write", write)
    rows = [
        {"prompt": f"Q{n}", "chosen": "a", "rejected": "b", "rationale": reason}
        for n, reason in enumerate(("fine", "poison", "fine"))
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    job = taken(path)
    (rejection,) = rejections_of(job_id=job.pk)
    assert (rejection.line_number, job.counts["rows"]) == (2, 3)
    assert "could not be stored" in rejection.reason
    assert "varying" not in rejection.reason
    assert Judgment.objects.count() == 2
    assert job.counts["votes_new"] == 2
    again = taken(path, campaign=job.campaign)
    assert (again.counts["votes_known"], again.counts["rows_rejected"]) == (2, 1)
    path.write_text(json.dumps(rows[1]))
    with pytest.raises(CommandError) as raised:
        call_command("import_judgments", str(path), line=str(OTHER), campaign="New")
    assert "varying" not in str(raised.value) + capsys.readouterr().out
    assert not Campaign.objects.filter(name="New").exists()


def test_rows_of_several_shapes_each_go_in_by_their_own(tmp_path):
    rows = [*ROWS, {"prompt": "Q3", "completions": ["e", "f"]}, {"prompt": "Q4"}, {"odd": 1}]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    job = taken(path)
    assert [r.line_number for r in rejections_of(job_id=job.pk)] == [6]
    assert (job.counts["rows"], job.counts["prompts_new"], job.counts["pairs_new"]) == (6, 4, 3)
    assert job.campaign is not None
    job.campaign.refresh_from_db()
    assert job.campaign.state == "draft"  # one of its pairs waits to be judged


def test_a_format_given_by_name_holds_for_every_row(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    job = taken(path, format="votes")
    (rejection,) = rejections_of(job_id=job.pk)
    assert rejection.line_number == 3
    assert "it has the fields chosen, prompt, rejected" in rejection.reason


def test_a_vote_keeps_its_date_so_that_its_age_weighs(tmp_path):
    rows = [
        {"prompt": f"Q{n}", "chosen": "a", "rejected": "b", "split": "train", "judged_at": day}
        for n, day in enumerate(("2024-03-01T00:00:00+00:00", "2024-03-31T00:00:00+00:00"))
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    taken(path)
    assert [j.created_at for j in Judgment.objects.order_by("created_at")] == [
        datetime(2024, 3, 1, tzinfo=UTC),
        datetime(2024, 3, 31, tzinfo=UTC),
    ]
    recipe = SnapshotRecipe(recency_half_life_days=30.0)
    weights = [r.weight for r in facade.preferences_stream(line_id=LINE, recipe=recipe)]
    assert weights == pytest.approx([0.5, 1.0])  # thirty days old: one half-life


def test_labels_that_came_in_lately_are_fresh_however_old_they_are(tmp_path):
    before = datetime.now(tz=UTC)
    row = {
        "prompt": "Q",
        "chosen": "a",
        "rejected": "b",
        "split": "train",
        "judged_at": "2024-03-01",
    }
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps(row))
    taken(path)
    assert facade.fresh_label_count(line_id=LINE, since=before) == 1
    assert facade.fresh_label_count(line_id=LINE, since=datetime.now(tz=UTC)) == 0
    assert facade.fresh_label_count(line_id=LINE, since=None) == 1


def test_criteria_come_into_a_campaign_that_asks_nobody_and_are_named_where_they_cannot(tmp_path):
    row = {
        "prompt": "Q",
        "completions": ["a", "b"],
        "votes": [{"rater": "w", "value": 2, "criteria": {"Tone of voice": 6}}],
    }
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps(row))
    closed = taken(path)
    assert closed.counts["unused"] == {}
    criterion = Criterion.objects.get(campaign=closed.campaign, key="tone-of-voice")
    assert (criterion.name, JudgmentValue.objects.get(criterion=criterion).value) == (
        "Tone of voice",
        6,
    )
    open_one = campaign_create(line_id=LINE, name="Open", state="active")
    assert taken(path, campaign=open_one).counts["unused"] == {"criterion Tone of voice": 1}
    assert list(open_one.criteria.values_list("key", flat=True)) == ["overall"]


def test_every_import_is_in_the_audit_log_whoever_ordered_it(file):
    call_command("import_judgments", str(file), line=str(LINE))
    import_create(line_id=OTHER, path=file, actor="somebody")
    events = AuditEvent.objects.filter(verb="imported").order_by("at")
    assert [(e.actor, e.target, e.line) for e in events] == [
        ("shell", "file crowd.jsonl", LINE),
        ("somebody", "file crowd.jsonl", OTHER),
    ]


def test_fields_that_nothing_reads_are_named_by_the_command(tmp_path, capsys):
    rows = [
        {
            "prompt": f"Q{n}",
            "chosen": "a",
            "rejected": "b",
            "mood": "good" if n else None,
            "seen": 1,
        }
        for n in range(3)
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    call_command("import_judgments", str(path), line=str(LINE))
    said = capsys.readouterr().out
    assert "Fields that were not used" in said
    assert "  seen: 3\n  mood: 2\n" in said


def test_a_file_with_a_new_field_in_every_row_is_summed_up(tmp_path):
    rows = [{"prompt": f"Q{n}", "chosen": "a", "rejected": "b", f"x{n}": 1} for n in range(230)]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    unused = taken(path).counts["unused"]
    assert (len(unused), unused["other fields"]) == (201, 30)
