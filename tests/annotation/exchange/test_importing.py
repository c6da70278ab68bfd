"""Files taken in: everything good once, everything bad reported."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import (
    Assignment,
    Comparison,
    Completion,
    Judgment,
    JudgmentValue,
    Prompt,
)
from annotation.exchange import importing
from annotation.exchange.models import ImportJob
from annotation.exchange.records import ImportFailed, ImportOptions
from annotation.exchange.selectors import empty_splits, job_share, rejections_of
from annotation.exchange.services import (
    import_create,
    import_run,
    upload_store,
)
from annotation.exchange.trying import import_try
from annotation.exchange.votes import VoteBook
from tests.annotation.factories import an_annotator, label_next
from tests.support.documented import assert_said
from web.jobs import job_cancel, jobs_waiting

pytestmark = pytest.mark.django_db


def vote_row(first, second, *votes, title="Debate", stance="Yes", **more):
    return {
        "debate_title": title,
        "stance": stance,
        "a1": first,
        "a2": second,
        "votes": [{"worker": worker, "value": value} for worker, value in votes],
        **more,
    }


@pytest.fixture
def take_in(tmp_path):
    """Write rows (dicts or raw text) to a file and import it; returns the finished job."""
    line = uuid.uuid4()

    def run(rows, *, name="votes.jsonl", line_id=line, **options):
        path = tmp_path / name
        text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
        content = text.encode("utf-8", "surrogatepass")
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        job = import_create(line_id=line_id, path=path, options=ImportOptions(**options))
        done = import_run(job_id=job.pk)
        assert done is not None
        return done

    return run


def stored_votes():
    """{rater: (value in slot order, active)} of every stored revision, oldest first."""
    rows = JudgmentValue.objects.order_by("judgment__revision").values_list(
        "judgment__rater__external_id", "value", "judgment__active"
    )
    return list(rows)


@pytest.mark.parametrize(
    ("criteria", "reason"),
    [
        ({"Overall": 3}, "criteria holds Overall, which is the vote itself: leave it out there."),
        ({"overall": 3}, "criteria holds overall, which is the vote itself: leave it out there."),
        (
            {"In tone": 3, "in-tone": 5},
            "criteria holds In tone and in-tone, which are one criterion: leave one out.",
        ),
    ],
)
def test_a_vote_with_two_steps_of_one_criterion_is_refused_by_name(take_in, criteria, reason):
    row = {"prompt": "Q", "completions": ["a", "b"]}
    votes = [{"worker": "w1", "value": 3, "criteria": criteria}]
    job = take_in([{**row, "votes": votes}, vote_row("One.", "Two.", ("w1", "a1"))])
    assert job.state == "done", job.error
    assert [r.reason for r in rejections_of(job_id=job.pk)] == [reason]
    assert stored_votes() == [("w1", 2, True)]


def test_criteria_whose_names_have_no_letter_for_a_key_are_not_taken_for_one(take_in):
    votes = [{"worker": "w1", "value": 3, "criteria": {"语气": 3, "长度": 5}}]
    job = take_in([{"prompt": "Q", "completions": ["a", "b"], "votes": votes}])
    assert job.counts["rows_rejected"] == 0
    assert set(job.counts["unused"]) == {"criterion 语气", "criterion 长度"}


def test_votes_are_kept_by_rater_in_slot_order(take_in):
    job = take_in([vote_row("One.", "Two.", ("w1", "a1"), ("w2", "a2"), ("w3", "equal"))])
    assert sorted(stored_votes()) == [("w1", 2, True), ("w2", 6, True), ("w3", 4, True)]
    pair = Comparison.objects.get()
    assert (pair.judged, pair.wanted, pair.open) == (3, 3, False)
    assert [slot.completion.text for slot in pair.slots.all()] == ["One.", "Two."]
    assert (job.counts["raters_new"], job.counts["votes_tied"], job.state) == (3, 1, "done")


def test_a_pair_that_comes_reversed_is_one_comparison_with_its_votes_turned(take_in):
    job = take_in(
        [
            vote_row("One.", "Two.", ("w1", "a1")),
            vote_row("Two.", "One.", ("w2", "a1"), ("w3", "equal")),
        ]
    )
    assert Comparison.objects.count() == 1
    assert sorted(stored_votes()) == [("w1", 2, True), ("w2", 6, True), ("w3", 4, True)]
    assert Assignment.objects.get(rater__external_id="w2").shown_order == [2, 1]
    assert (job.counts["pairs_reversed"], job.counts["pairs_repeated"]) == (1, 0)


@pytest.mark.parametrize("batch", [1, 500])
def test_a_second_vote_on_a_pair_supersedes_the_first(take_in, monkeypatch, batch):
    monkeypatch.setattr(importing, "BATCH", batch)
    job = take_in(
        [
            vote_row("One.", "Two.", ("w1", "a1"), ("w2", "a1")),
            vote_row("Two.", "One.", ("w1", "a1")),
        ]
    )
    assert [v for v in stored_votes() if v[0] == "w1"] == [("w1", 2, False), ("w1", 6, True)]
    assert (job.counts["votes_new"], job.counts["votes_revised"]) == (3, 1)
    assert Comparison.objects.get().judged == 2


def test_taking_the_same_file_in_again_changes_nothing(take_in):
    rows = [
        vote_row("One.", "Two.", ("w1", "a1"), ("w2", "a2")),
        vote_row("Two.", "One.", ("w1", "a1")),
    ]
    take_in(rows)
    before = list(Judgment.objects.order_by("pk").values())
    again = take_in(rows)
    assert list(Judgment.objects.order_by("pk").values()) == before
    assert (again.counts["votes_new"], again.counts["votes_known"]) == (0, 3)
    assert (again.counts["pairs_new"], again.counts["prompts_new"]) == (0, 0)
    assert Campaign.objects.count() == 1


def test_both_stances_of_one_debate_stay_on_one_side_of_the_split(take_in):
    rows = [
        vote_row(f"Yes {n}", f"No {n}", ("w1", "a1"), title=f"Debate {n % 20}", stance=str(n % 2))
        for n in range(60)
    ]
    take_in(rows)
    by_root: dict[str, set[str]] = {}
    for prompt in Prompt.objects.all():
        by_root.setdefault(prompt.root_hash, set()).add(prompt.split)
    assert len(by_root) == 20
    assert all(len(splits) == 1 for splits in by_root.values())
    assert set.union(*by_root.values()) <= {"train", "validation", "test"}


def test_rows_are_counted_by_split_and_a_split_left_empty_is_named(take_in):
    rows = [vote_row("One.", "Two.", ("w1", "a1")), vote_row("One.", "Three.", ("w1", "a1"))]
    job = take_in(rows, shares={"train": 1.0, "test": 0.000001})
    assert (job.counts["rows_train"], job.counts["rows_test"]) == (2, 0)
    assert empty_splits(job) == ["test"]


def test_another_field_may_keep_rows_together(take_in):
    rows = [{"prompt": f"Q{n}", "topic": "sums"} for n in range(5)]
    take_in(rows, split_by="topic")
    assert Prompt.objects.values("root_hash").distinct().count() == 1
    job = take_in([{"prompt": "Q"}], split_by="topic")
    assert "no field 'topic'" in rejections_of(job_id=job.pk)[0].reason


def test_which_completion_was_chosen_cannot_be_told_from_its_slot(take_in):
    take_in([{"prompt": f"Q{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(80)])
    first = [
        c.slots.get(position=1).completion.text.startswith("good") for c in Comparison.objects.all()
    ]
    assert 22 <= sum(first) <= 58  # 40 expected, 4 standard deviations of 4.5
    for value in JudgmentValue.objects.select_related("judgment__assignment__comparison"):
        slots = value.judgment.assignment.comparison.slots
        better = slots.get(position=1 if value.value < 4 else 2).completion.text
        assert better.startswith("good")


def test_pairs_without_judgments_wait_in_the_queue_of_a_draft_campaign(take_in):
    job = take_in([{"prompt": "Q", "completions": ["a", "b"]}])
    campaign = job.campaign
    assert campaign is not None
    assert (campaign.state, Comparison.objects.get().open) == ("draft", True)
    campaign.state = "active"
    campaign.save()
    assert label_next(an_annotator(campaign), campaign).revision == 1


BAD = '{"debate_title": "D", "stance": "Y", "a1": "x", "a2": "", "votes": []}'


def test_bad_rows_are_reported_by_line_and_the_good_ones_go_in(take_in):
    good = vote_row("One.", "Two.", ("w1", "a1"))
    job = take_in(["", json.dumps(good), BAD, "{not json", "[1]", '{"oddity": "Q"}'])
    found = {row.line_number: row.reason for row in rejections_of(job_id=job.pk)}
    assert job.state == "done"
    assert Comparison.objects.count() == 1
    assert "a2 is empty" in found[3]
    assert "not JSON" in found[4]
    assert "a list and not an object" in found[5]
    assert "The row has the fields oddity" in found[6]
    assert (job.counts["rows"], job.counts["rows_rejected"], job.rows_done) == (5, 4, 5)


def test_strict_takes_in_nothing_when_one_row_is_bad(take_in):
    job = take_in([vote_row("One.", "Two.", ("w1", "a1")), BAD], strict=True)
    assert job.state == "failed"
    assert "strict" in job.error
    assert [row.line_number for row in rejections_of(job_id=job.pk)] == [2]
    assert not Prompt.objects.exists()
    assert not Campaign.objects.exists()
    assert take_in([vote_row("One.", "Two.", ("w1", "a1"))], strict=True).state == "done"


def test_a_gzip_is_known_by_its_bytes_and_a_broken_one_is_said_so(take_in, tmp_path):
    rows = [{"prompt": f"Q{n}"} for n in range(3)]
    job = take_in(rows, name="prompts.jsonl.gz")
    assert Prompt.objects.count() == 3
    job.refresh_from_db()
    assert job_share(job) == 1.0
    content = (tmp_path / "prompts.jsonl.gz").read_bytes()
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(content[:-9])
    failed = import_run(job_id=import_create(line_id=uuid.uuid4(), path=broken).pk)
    assert failed is not None
    assert "broken gzip" in failed.error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"[]", "is empty"),
        (b"prompt,chosen\n", "is empty"),
        (b"PK\x03\x04rubbish", "a spreadsheet or another archive"),
        (b"prompt,chosen\nq,a\n", "the fields chosen, prompt"),
        (b'{"question": "q"}', "fields question"),
    ],
)
def test_a_file_of_another_kind_fails_with_one_clear_sentence(tmp_path, content, words):
    path = tmp_path / "file"
    path.write_bytes(content)
    done = import_run(job_id=import_create(line_id=uuid.uuid4(), path=path).pk)
    assert done is not None
    assert done.state == "failed"
    assert words in done.error


def test_a_missing_file_is_refused_before_there_is_a_job(tmp_path):
    with pytest.raises(ImportFailed, match="cannot be read"):
        import_create(line_id=uuid.uuid4(), path=tmp_path / "none.jsonl")
    assert not ImportJob.objects.exists()


def test_cancelling_stops_after_the_present_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 2)
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"Q{n}"}) for n in range(9)))
    job = import_create(line_id=uuid.uuid4(), path=path)
    seen = []

    def progress(read, rows):
        seen.append(rows)
        job_cancel(job)

    done = import_run(job_id=job.pk, progress=progress)
    assert done is not None
    assert (done.state, seen, Prompt.objects.count()) == ("cancelled", [2], 2)


def test_a_job_is_run_once_and_taken_up_again_when_its_worker_died(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Q"}')
    job = import_create(line_id=uuid.uuid4(), path=path)
    assert jobs_waiting(ImportJob) == [job.pk]
    ImportJob.objects.filter(pk=job.pk).update(state="running", heartbeat_at=timezone.now())
    assert import_run(job_id=job.pk) is None
    assert jobs_waiting(ImportJob) == []
    long_ago = timezone.now() - timedelta(minutes=5)
    ImportJob.objects.filter(pk=job.pk).update(heartbeat_at=long_ago)
    assert jobs_waiting(ImportJob) == [job.pk]
    done = import_run(job_id=job.pk)
    assert done is not None
    assert done.state == "done"
    assert import_run(job_id=job.pk) is None


class Killed(BaseException):
    """What no part of an import catches."""


def test_of_a_killed_import_one_batch_is_lost_and_taken_in_by_the_next_run(tmp_path, monkeypatch):
    """Two equal votes lie in batches of their own: they are two votes, however often the file is begun."""
    monkeypatch.setattr(importing, "BATCH", 2)
    said = [("One.", 1), ("Two.", 2), ("One.", 1), ("Three.", 3), ("Four.", 4), ("Five.", 5)]
    path = tmp_path / "votes.jsonl"
    path.write_text(
        "\n".join(json.dumps(vote_row(text, "Other.", ("w1", step))) for text, step in said)
    )
    job = import_create(line_id=uuid.uuid4(), path=path)
    write, writes = VoteBook.write, []

    def killed(book, *, stored):
        write(book, stored=stored)
        writes.append(Judgment.objects.count())
        if len(writes) == 3:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(VoteBook, "write", killed)
        with pytest.raises(Killed):
            import_run(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.rows_done, writes) == ("running", 4, [2, 4, 6])
    assert Judgment.objects.count() == 4  # a vote is stored with its whole batch or not at all
    ImportJob.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    done = import_run(job_id=job.pk)
    assert done is not None
    assert (done.state, done.rows_done) == ("done", 6)
    assert (done.counts["votes_new"], done.counts["votes_known"]) == (2, 4)
    assert (Comparison.objects.count(), Judgment.objects.count()) == (5, 6)
    assert Judgment.objects.filter(active=True).count() == 5


def test_a_pair_of_one_text_is_kept_and_counted(take_in):
    job = take_in([vote_row("Same.", "Same.", ("w1", "a1"), ("w2", "equal"))])
    assert job.counts["pairs_of_one_text"] == 1
    assert Completion.objects.count() == 1
    assert sorted(stored_votes()) == [("w1", 2, True), ("w2", 4, True)]


def test_an_upload_cannot_choose_its_place(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    path = upload_store(name="../../etc/pass wd.jsonl", chunks=[b"{}", b"\n"])
    assert path.parent == tmp_path / "uploads"
    assert path.name.endswith("-pass_wd.jsonl")
    assert path.read_bytes() == b"{}\n"


def test_the_command_prints_counts_and_each_bad_row(tmp_path, capsys):
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps(vote_row("One.", "Two.", ("w1", "a1"))) + "\n" + BAD)
    line = uuid.uuid4()
    call_command("import_judgments", str(path), line=str(line), campaign="Crowd")
    printed = capsys.readouterr().out
    assert "Line 2: a2 is empty." in printed
    assert f"Line {line}, campaign Crowd." in printed
    assert Campaign.objects.get().name == "Crowd"
    with pytest.raises(CommandError, match="strict"):
        call_command("import_judgments", str(path), strict=True, stdout=io.StringIO())
    with pytest.raises(CommandError, match="--shares"):
        call_command("import_judgments", str(path), shares="learn=1")
    with pytest.raises(CommandError, match="UUID"):
        call_command("import_judgments", str(path), line="demo")


@pytest.mark.parametrize(
    "shares", ["train=nan", "train=nan,test=1", "train=inf", "train=1,train=2"]
)
def test_shares_that_are_no_shares_are_refused(tmp_path, shares):
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps(vote_row("One.", "Two.", ("w1", "a1"))))
    with pytest.raises(CommandError, match="--shares"):
        call_command("import_judgments", str(path), shares=shares)
    assert not ImportJob.objects.exists()


def test_names_are_printed_as_they_are_written(tmp_path, capsys):
    path = tmp_path / "votes[red].jsonl"
    path.write_text(json.dumps(vote_row("One.", "Two.", ("w1", "a1"))))
    line = uuid.uuid4()
    call_command("import_judgments", str(path), line=str(line), campaign="[/b] [bold]")
    printed = capsys.readouterr().out
    assert "votes[red].jsonl" in printed
    assert "campaign [/b] [bold]." in printed
    (tmp_path / "a[").mkdir()
    call_command("export_judgments", str(tmp_path / "a[/b] [red].csv"), line=str(line))
    assert "a[/b] [red].csv." in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize("what", ["source", "campaign", "split_by"])
def test_a_name_is_kept_whole_or_refused(tmp_path, what):
    """Two sources that were cut to the same hundred letters would be one, and their raters one person."""
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps(vote_row("One.", "Two.", ("w1", "a1"))))
    with pytest.raises(CommandError) as refusal:
        call_command("import_judgments", str(path), **{what: "x" * 121})
    assert_said("name that would be cut", str(refusal.value))
    with pytest.raises(CommandError, match="UTF-8"):
        call_command("import_judgments", str(path), **{what: "a\udcff"})
    assert not ImportJob.objects.exists()


def test_no_pair_is_drawn_for_evaluation_where_a_label_would_never_train(take_in):
    """Bare prompts are (one in ten); pairs are not, whether votes come with them or people are asked."""
    rows = [{"prompt": f"Q{n}", "completions": ["A", "B"]} for n in range(200)]
    job = take_in(rows, name="pairs.jsonl")
    assert Comparison.objects.filter(open=True).count() == 200
    splits = [job.counts[f"rows_{split}"] for split in ("train", "validation", "test")]
    assert (sum(splits), job.counts["rows_evaluation"], empty_splits(job)) == (200, 0, [])
    take_in([{"prompt": f"P{n}"} for n in range(200)], name="prompts.jsonl")
    assert 5 <= Prompt.objects.filter(split="evaluation").count() <= 35


def test_what_falls_on_evaluation_prompts_is_kept_aside_and_said(take_in, capsys, tmp_path):
    """Its question came as a prompt before, or the row says so: nobody is asked, its votes do not train."""
    take_in([{"prompt": "Known?", "split": "evaluation"}], name="prompts.jsonl")
    rows = [
        {"prompt": "Known?", "completions": ["A", "B"]},
        {"prompt": "Said?", "completions": ["A", "B"], "split": "evaluation"},
        {"prompt": "Other?", "completions": ["A", "B"], "split": "train"},
    ]
    job = take_in(rows, name="pairs.jsonl")
    assert (job.counts["pairs_new"], job.counts["pairs_aside"]) == (3, 2)
    assert Comparison.objects.get(open=True).prompt.messages[0]["content"] == "Other?"
    judged = [{"prompt": "Known?", "chosen": "C", "rejected": "D"}]
    job = take_in(judged, name="judged.jsonl")
    assert (job.counts["votes_new"], job.counts["votes_aside"]) == (1, 1)
    again = take_in(judged, name="judged.jsonl")
    assert (again.counts["votes_known"], again.counts["votes_aside"]) == (1, 0)
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({**judged[0], "chosen": "E"}))
    call_command("import_judgments", str(path), line=str(job.line))
    assert "New votes kept aside" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_statistics_are_renewed_after_many_rows_and_never_by_a_dry_run(take_in, monkeypatch):
    monkeypatch.setattr(importing, "MANY_ROWS", 2)
    rows = [{"prompt": "One?"}, {"prompt": "Two?"}]
    content = "\n".join(map(json.dumps, rows)).encode()
    with CaptureQueriesContext(connection) as queries:
        tried, _ = import_try(
            line=uuid.uuid4(), name="rows.jsonl", chunks=[content], options=ImportOptions()
        )
    assert (tried.state, tried.counts["rows"]) == ("done", 2)
    assert not [q for q in queries.captured_queries if "ANALYZE" in q["sql"]]
    with CaptureQueriesContext(connection) as queries:
        take_in(rows[:1], name="one.jsonl")
        assert not [q for q in queries.captured_queries if "ANALYZE" in q["sql"]]
        take_in(rows)
    assert len([q for q in queries.captured_queries if "ANALYZE" in q["sql"]]) == 1
