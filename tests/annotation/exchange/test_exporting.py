"""Judgments written out, and read back in."""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from annotation import facade
from annotation.comparisons.models import Assignment, Exclusion
from annotation.contracts import AnnotationError, SnapshotRecipe
from annotation.exchange import exporting
from annotation.exchange.export_options import EXPORT_COUNT_NAMES, ExportOptions
from annotation.exchange.exporting import export_write
from annotation.exchange.models import ExportJob
from annotation.exchange.services import export_create, export_run, import_create, import_run
from annotation.exchange.trainers import training_columns, training_rows
from annotation.rows import PreferenceRow
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from web.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def labelled():
    """Seven training labels, one for each step of the scale as shown."""
    campaign = a_campaign()
    some_pairs(campaign, 7, split="train")
    annotator = an_annotator(campaign)
    for value in range(1, 8):
        label_next(annotator, campaign, value)
    return campaign


def written(campaign, tmp_path, **options):
    path = tmp_path / "out.jsonl"
    counts = export_write(line_id=campaign.line, path=path, options=ExportOptions(**options))
    return [json.loads(line) for line in path.read_text().splitlines()], counts


def shown_texts(assignment):
    slots = {slot.position: slot.completion.text for slot in assignment.comparison.slots.all()}
    return [slots[position] for position in assignment.shown_order]


def test_chosen_is_what_the_rater_preferred_on_screen(labelled, tmp_path):
    rows, counts = written(labelled, tmp_path, shape="plain")
    by_chosen = {(row["chosen"], row["rejected"]): row["strength"] for row in rows}
    assert (counts.rows, counts.left_out["ties"], len(by_chosen)) == (6, 1, 6)
    for assignment in Assignment.objects.all():
        left, right = shown_texts(assignment)
        value = _shown_value(assignment)
        if value < 4:
            assert by_chosen[left, right] == 4 - value
        elif value > 4:
            assert by_chosen[right, left] == value - 4


def _shown_value(assignment):
    stored = assignment.judgments.get(active=True).values.get().value
    return stored if assignment.shown_order == [1, 2] else 8 - stored


def test_ties_are_written_when_asked_for_and_marked(labelled, tmp_path):
    rows, counts = written(labelled, tmp_path, ties=True)
    assert (counts.rows, counts.left_out) == (7, {})
    (tie,) = [row for row in rows if row.get("tie")]
    assert "strength" not in tie


def test_the_conversational_shape_holds_messages(labelled, tmp_path):
    rows, _ = written(labelled, tmp_path)
    for row in rows:
        assert row["prompt"][0]["role"] == "user"
        assert [m["role"] for m in row["chosen"] + row["rejected"]] == ["assistant", "assistant"]


@pytest.mark.parametrize("shape", ["plain", "conversational"])
def test_what_was_written_comes_back_as_it_was(labelled, tmp_path, shape):
    path = tmp_path / "out.jsonl.gz"
    options = ExportOptions(shape=shape, ties=True)
    export_write(line_id=labelled.line, path=path, options=options)
    line = uuid.uuid4()
    done = import_run(job_id=import_create(line_id=line, path=path).pk)
    assert done is not None
    assert (done.state, done.counts["rows_rejected"]) == ("done", 0)

    def opinions(line_id):
        found = {}
        for row in facade.preferences_stream(line_id=line_id, recipe=SnapshotRecipe()):
            better, worse = row.completions
            strength = row.strength
            if better > worse:  # slots may have been drawn anew: compare in one order
                better, worse, strength = worse, better, 8 - strength
            found[better, worse] = strength
        return found

    assert opinions(line) == opinions(labelled.line)


def test_a_job_writes_a_gzip_that_is_there_only_when_it_is_whole(labelled, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    done = export_run(job_id=export_create(line_id=labelled.line).pk)
    assert done is not None
    assert (done.state, done.rows_done) == ("done", 6)
    with gzip.open(done.path, "rt") as file:
        assert len(file.readlines()) == 6
    assert export_run(job_id=done.pk) is None
    assert ExportJob.objects.get().counts == {"rows": 6, "left_out_ties": 1}


def test_a_cancelled_export_leaves_no_file(labelled, settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(exporting, "EVERY", 2)
    job = export_create(line_id=labelled.line)
    ExportJob.objects.filter(pk=job.pk).update(cancel_requested=True)
    done = export_run(job_id=job.pk)
    assert done is not None
    assert (done.state, done.rows_done, done.path) == ("cancelled", 2, "")
    assert list((tmp_path / "exports").iterdir()) == []


def test_the_command_says_how_many_rows_it_wrote(labelled, tmp_path, capsys):
    path = tmp_path / "labels.jsonl"
    call_command("export_judgments", str(path), line=labelled.line)
    assert "6 rows written" in capsys.readouterr().out
    assert len(path.read_text().splitlines()) == 6


SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = (
    SYSTEM,
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "What is 1 + 1?"},
)
TRANSCRIPT = "\n\nSystem: Be brief.\n\nHuman: Hello.\n\nAssistant: Yes?\n\nHuman: What is 1 + 1?\n\nAssistant:"


@pytest.fixture
def conversation():
    """One label on a conversation with a system turn: "Two." is better than "Three."."""
    return PreferenceRow(
        id="j1",
        group="g",
        messages=TURNS,
        completions=("Three.", "Two."),
        preference=0.0,
        strength=7.0,
        rater="r-1",
        campaign="desk",
        purpose="training",
        source="people",
        judged_at="2030-01-02T03:04:05+00:00",
    )


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.mark.parametrize(
    ("layout", "shape", "parts"),
    [
        (
            "explicit",
            "conversational",
            [{"prompt": list(TURNS), "chosen": said("Two."), "rejected": said("Three.")}],
        ),
        ("explicit", "plain", [{"prompt": TRANSCRIPT, "chosen": "Two.", "rejected": "Three."}]),
        (
            "implicit",
            "conversational",
            [{"chosen": [*TURNS, *said("Two.")], "rejected": [*TURNS, *said("Three.")]}],
        ),
        (
            "implicit",
            "plain",
            [{"chosen": f"{TRANSCRIPT} Two.", "rejected": f"{TRANSCRIPT} Three."}],
        ),
        (
            "unpaired",
            "conversational",
            [
                {"prompt": list(TURNS), "completion": said("Two."), "label": True},
                {"prompt": list(TURNS), "completion": said("Three."), "label": False},
            ],
        ),
        (
            "unpaired",
            "plain",
            [
                {"prompt": TRANSCRIPT, "completion": "Two.", "label": True},
                {"prompt": TRANSCRIPT, "completion": "Three.", "label": False},
            ],
        ),
    ],
)
def test_every_format_of_trl_keeps_every_turn(conversation, layout, shape, parts):
    options = ExportOptions(layout=layout, shape=shape)
    rows = list(training_rows(conversation, options))
    origin = {
        "id": "j1",
        "rater": "r-1",
        "split": "train",
        "group": "g",
        "campaign": "desk",
        "purpose": "training",
        "source": "people",
        "judged_at": "2030-01-02T03:04:05+00:00",
        "tie": False,
        "strength": 3,
    }
    assert rows == [{**origin, **part} for part in parts]
    assert all(set(row) == set(training_columns(options)) for row in rows)


def test_a_system_prompt_before_one_question_is_kept_as_a_text(conversation):
    short = replace(conversation, messages=(SYSTEM, TURNS[1]))
    (row,) = training_rows(short, ExportOptions(shape="plain"))
    assert row["prompt"] == "\n\nSystem: Be brief.\n\nHuman: Hello.\n\nAssistant:"


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out"])
@pytest.mark.parametrize("layout", ["explicit", "implicit", "unpaired"])
def test_the_training_export_fits_every_container(labelled, tmp_path, name, layout):
    path = tmp_path / name
    counts = export_write(line_id=labelled.line, path=path, options=ExportOptions(layout=layout))
    assert counts.rows == (12 if layout == "unpaired" else 6)
    assert counts.left_out == {"ties": 1}
    if name == "out.parquet":
        rows = pq.read_table(path).to_pylist()
        assert (len(rows), {row["tie"] for row in rows}) == (counts.rows, {False})
        assert rows[0]["strength"] == 3


def test_what_is_left_out_is_counted_by_reason(labelled, tmp_path):
    """One on an evaluation prompt, one for a gate, one by an excluded rater, one on two equal texts."""
    aside = tmp_path / "aside.jsonl"
    aside.write_text(
        json.dumps({"prompt": "P", "chosen": "A", "rejected": "B", "split": "evaluation"})
    )
    import_run(job_id=import_create(line_id=labelled.line, path=aside).pk)
    labelled.gate_share = 1.0
    labelled.save()
    some_pairs(labelled, 1, purpose="gate", round_id=uuid.uuid4(), split="evaluation")
    label_next(an_annotator(labelled), labelled)
    out = an_annotator(labelled)
    some_pairs(labelled, 1, split="train")
    label_next(out, labelled)
    Exclusion.objects.create(line=labelled.line, rater=out, reason="Away.", excluded_by="lea")
    same = tmp_path / "same.jsonl"
    same.write_text(json.dumps({"prompt": "Q", "chosen": "A", "rejected": "A", "split": "train"}))
    import_run(job_id=import_create(line_id=labelled.line, path=same).pk)
    _, counts = written(labelled, tmp_path)
    assert counts.to_json() == {
        "rows": 6,
        "left_out_ties": 1,
        "left_out_evaluation": 1,
        "left_out_gate": 1,
        "left_out_excluded": 1,
        "left_out_same_text": 1,
    }
    assert set(counts.to_json()) <= set(EXPORT_COUNT_NAMES)


def test_an_unknown_line_or_campaign_is_refused_by_the_command_and_as_a_job(labelled, tmp_path):
    path = tmp_path / "out.jsonl"
    nobody = uuid.UUID(int=5)
    with pytest.raises(CommandError, match=f"There is no line {nobody}"):
        call_command("export_judgments", str(path), line=str(nobody))
    with pytest.raises(CommandError, match="--line is 'five'; give the line's id"):
        call_command("export_judgments", str(path), line="five")
    with pytest.raises(CommandError, match=f"no campaign 'x'; it has: {labelled.slug}"):
        call_command("export_judgments", str(path), line=labelled.line, campaign=["x"])
    with pytest.raises(CommandError, match=r"labels\.doc ends in \.doc"):
        call_command("export_judgments", str(tmp_path / "labels.doc"), line=labelled.line)
    with pytest.raises(AnnotationError, match="There is no line"):
        export_create(line_id=nobody)
    with pytest.raises(AnnotationError, match="no campaign 'x'"):
        export_create(line_id=labelled.line, options=ExportOptions(campaigns=("x",)))
    assert (list(tmp_path.iterdir()), ExportJob.objects.count()) == ([], 0)


def test_an_export_of_nothing_says_so_and_why_and_leaves_no_file(tmp_path, settings):
    settings.VAR_DIR = tmp_path
    campaign = a_campaign()
    some_pairs(campaign, 1, split="train")
    label_next(an_annotator(campaign), campaign, 4)
    with pytest.raises(CommandError, match=r"nothing to export: .* left out: ties \(1\)\."):
        call_command("export_judgments", str(tmp_path / "out.jsonl"), line=campaign.line)
    done = export_run(job_id=export_create(line_id=campaign.line).pk)
    assert done is not None
    assert (done.state, "nothing to export" in done.error) == ("failed", True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_every_export_stands_in_the_audit_log(labelled, tmp_path, settings):
    settings.VAR_DIR = tmp_path
    export_run(job_id=export_create(line_id=labelled.line, actor="schedule").pk)
    call_command("export_judgments", str(tmp_path / "a.csv"), line=labelled.line, everything=True)
    told = AuditEvent.objects.order_by("at").values_list("actor", "verb", "line", "detail")
    assert list(told) == [
        ("schedule", "exported", labelled.line, {"content": "training", "container": "jsonl"}),
        (
            "shell",
            "wrote export",
            labelled.line,
            {"content": "everything", "container": "csv", "rows": 7},
        ),
    ]
