"""Judgments written out, and read back in."""

from __future__ import annotations

import gzip
import json
import uuid

import pytest
from django.core.management import call_command

from annotation import facade
from annotation.comparisons.models import Assignment
from annotation.contracts import SnapshotRecipe
from annotation.exchange import exporting
from annotation.exchange.exporting import export_write
from annotation.exchange.models import ExportJob
from annotation.exchange.records import ExportOptions
from annotation.exchange.services import export_create, export_run, import_create, import_run
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs

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
    assert (counts.rows, counts.ties_left_out, len(by_chosen)) == (6, 1, 6)
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
    assert (counts.rows, counts.ties_left_out) == (7, 0)
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
    assert ExportJob.objects.get().counts == {"rows": 6, "ties_left_out": 1}


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
