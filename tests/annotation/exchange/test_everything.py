"""The full export: a row a judgment and a row a skip, with everything, in every container."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import uuid
import zipfile
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.utils import timezone

from annotation.accounts.services import simulated_rater
from annotation.campaigns.services import guidelines_acknowledge, guidelines_publish
from annotation.comparisons.models import Assignment, Comparison, Exclusion, Judgment
from annotation.comparisons.records import Answer, Span
from annotation.comparisons.services import (
    assignment_skip,
    gold_item_create,
    judgment_revise,
    judgment_submit,
    judgment_undo,
    leases_release_expired,
    pair_settle,
    prompts_ensure,
)
from annotation.comparisons.streams import training_values
from annotation.comparisons.uses import LEARNED_FROM, label_uses
from annotation.contracts import AnnotationError, NewPrompt
from annotation.exchange.everything import COLUMNS
from annotation.exchange.export_options import ExportOptions, container_of
from annotation.exchange.exporting import export_write
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)

pytestmark = pytest.mark.django_db
EVERYTHING = ExportOptions(content="everything")
VERSIONS = (uuid.UUID(int=11), uuid.UUID(int=12))


def written(campaign, path, options=EVERYTHING):
    counts = export_write(line_id=campaign.line, path=path, options=options)
    packed = path.suffix == ".gz"
    taken = training_values(line_id=campaign.line).values_list("judgment_id", flat=True)
    text = gzip.decompress(path.read_bytes()).decode() if packed else path.read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    said = {row["id"] for row in rows if row["use"] in LEARNED_FROM}
    assert said == {str(key) for key in taken} or options.campaigns  # what a snapshot takes
    return rows, counts


@pytest.fixture
def campaign():
    return a_campaign(criteria=(("kind", "Kind"),), span_labels=[{"name": "Wrong fact"}])


def test_an_answer_comes_out_with_all_that_was_said_and_who_was_shown_what(campaign, tmp_path):
    version = guidelines_publish(campaign=campaign, text="Prefer what is true.")
    some_pairs(campaign, 1, split="train", versions=VERSIONS, source="desk", tags=("math",))
    rater = an_annotator(campaign)
    guidelines_acknowledge(rater=rater, version=version)
    held = lease(rater, campaign)
    values = {"overall": 2, "kind": 5}
    answer = Answer(
        values, both_bad=True, flags=("refusal", "unsafe:left"), rationale="Why.", seconds=6.5,
        reasons=("clear", "safe"), spans=(Span("left", 2, 4, "wrong-fact"),),
    )  # fmt: skip
    judged = _submit(rater, held, answer)
    ((row,), counts) = written(campaign, tmp_path / "all.jsonl")
    assert list(row) == list(COLUMNS)
    assert (counts.rows, counts.left_out) == (1, {})
    shown = judged.assignment.shown_order
    turned = shown == [2, 1]
    assert row["shown_order"] == shown
    assert (row["value"], row["values"]) == (
        6 if turned else 2,
        [
            {"criterion": "overall", "value": 6 if turned else 2},
            {"criterion": "kind", "value": 3 if turned else 5},
        ],
    )
    assert row["flags"] == [{"key": "refusal", "slot": None}, {"key": "unsafe", "slot": shown[0]}]
    assert (row["both_bad"], row["rationale"], row["seconds"]) == (True, "Why.", 6.5)
    assert row["reasons"] == ["clear", "safe"]
    assert row["spans"] == [{"label": "wrong-fact", "slot": shown[0], "start": 2, "end": 4}]
    assert (row["guidelines"], row["purpose"], row["split"], row["use"]) == (
        1,
        "training",
        "train",
        "train",
    )
    assert (row["rater"], row["simulated"], row["excluded"]) == (rater.pseudonym, False, False)
    assert [c["model_version"] for c in row["completions"]] == [str(v) for v in VERSIONS]
    assert row["completions"][0]["text"].startswith("first answer")
    assert (row["prompt_source"], row["tags"]) == ("desk", ["math"])
    assert row["judged_at"] == judged.created_at.isoformat()
    assert rater.user is not None
    assert rater.user.username not in json.dumps(row)
    assert rater.user.email not in json.dumps(row)


def _submit(rater, held, answer) -> Judgment:
    outcome = judgment_submit(
        rater=rater, assignment_id=held.assignment_id, answer=answer, idempotency_key="k"
    )
    return Judgment.objects.select_related("assignment").get(pk=outcome.judgment_id)


def test_what_was_edited_taken_back_and_skipped_is_there_too(campaign, tmp_path):
    some_pairs(campaign, 3, split="train")
    rater = an_annotator(campaign)
    edited = label_next(rater, campaign, 2)
    judgment_revise(
        rater=rater,
        assignment_id=edited.assignment_id,
        answer=Answer({"overall": 7}),
        idempotency_key="edit",
    )
    undone = label_next(rater, campaign, 3)
    judgment_undo(rater=rater, assignment_id=undone.assignment_id)
    assignment_skip(rater=rater, assignment_id=undone.assignment_id, reason="cannot_judge")
    rows, _ = written(campaign, tmp_path / "all.jsonl")
    told = [(r["kind"], r["use"], r["revision"], r["active"], r["withdrawn"]) for r in rows]
    assert told == [
        ("judgment", "superseded", 1, False, False),
        ("judgment", "train", 2, True, False),
        ("judgment", "superseded", 1, False, False),
        ("judgment", "withdrawn", 2, False, True),
        ("skip", "skipped", None, False, False),
    ]
    assert [bool(r["superseded_at"]) for r in rows] == [True, False, True, False, False]
    assert (rows[3]["value"], rows[3]["values"]) == (None, [])
    assert (rows[4]["skip_reason"], rows[4]["assignment"]) == (
        "cannot_judge",
        str(undone.assignment_id),
    )


def test_every_purpose_is_there_and_says_what_becomes_of_it(campaign, tmp_path):
    system = {"role": "system", "content": "Be brief."}
    asked = {"role": "user", "content": "What is gold?"}
    (prompt,) = prompts_ensure(
        line_id=campaign.line, prompts=[NewPrompt((system, asked), split="train")]
    )
    rater = an_annotator(campaign)
    uses = {}
    for purpose, split in (("training", "test"), ("training", "train"), ("gate", "evaluation")):
        round_id = uuid.uuid4() if purpose == "gate" else None
        some_pairs(campaign, 1, purpose=purpose, round_id=round_id, split=split)
        campaign.gate_share = 1.0 if purpose == "gate" else 0.0
        campaign.save()
        label_next(rater, campaign)
        uses[purpose, split] = Comparison.objects.latest("created_at").pk
    campaign.gate_share, campaign.gold_share = 0.0, 1.0
    campaign.save()
    gold = gold_item_create(campaign=campaign, prompt=prompt, texts=("Au", "Ag"), gold_value=1)
    label_next(rater, campaign)
    rows = {row["pair"]: row for row in written(campaign, tmp_path / "all.jsonl")[0]}
    assert rows[str(uses["training", "test"])]["use"] == "held_out"
    assert rows[str(uses["training", "train"])]["use"] == "train"
    gate = rows[str(uses["gate", "evaluation"])]
    assert (gate["use"], gate["purpose"], bool(gate["round"])) == ("gate", "gate", True)
    item = rows[str(gold.pk)]
    assert (item["use"], item["gold_value"], item["messages"]) == ("gold", 1, [system, asked])


def test_labels_of_an_excluded_rater_and_late_ones_are_told_apart(campaign, tmp_path):
    some_pairs(campaign, 1, split="train")
    late, out = an_annotator(campaign), simulated_rater(name="out")
    held = lease(late, campaign).assignment_id
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    leases_release_expired()
    label_next(out, campaign)
    submit(late, held)
    Exclusion.objects.create(line=campaign.line, rater=out, reason="Away.", excluded_by="lea")
    first, second = written(campaign, tmp_path / "all.jsonl")[0]
    assert (first["use"], first["excluded"], first["simulated"]) == ("excluded", True, True)
    assert (second["use"], second["surplus"], second["excluded"]) == ("late", True, False)


def test_where_an_adjudicator_has_settled_a_pair_that_answer_trains_in_place_of_the_votes(
    campaign, tmp_path
):
    (pair,) = some_pairs(campaign, 1, split="train")
    label_next(an_annotator(campaign), campaign, 2)
    pair_settle(rater=an_annotator(campaign), comparison=pair, value=7, reason="It is wrong.")
    vote, verdict = written(campaign, tmp_path / "all.jsonl")[0]
    assert (vote["use"], verdict["use"], verdict["value"]) == ("settled", "train", 7)
    assert label_uses(line_id=campaign.line) == {"settled": 1, "train": 1}


AWKWARD = ("=1+1", "+2", "-3", "@x", "\tindented", "'quoted'", 'a,b\n"c"\r\nd', "plain")


@pytest.fixture
def awkward(campaign):
    """One label a text that a spreadsheet would act on, or that is hard to write into a cell."""
    rater = an_annotator(campaign)
    for text in AWKWARD:
        some_pairs(campaign, 1, split="train")
        label_next(rater, campaign, rationale=text)
    return campaign


def cells_read(path) -> list[dict[str, Any]]:
    """What docs/how-to/import-and-export.md says of reading such a file back."""
    csv.field_size_limit(sys.maxsize)
    packed = path.suffix == ".gz"
    with gzip.open(path, "rt", newline="") if packed else path.open(newline="") as file:
        return [
            {name: _cell_read(text, COLUMNS[name]) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]


def _cell_read(text: str, kind: str) -> Any:
    if kind == "text":
        return text.removeprefix("'")
    return json.loads(text) if text else None


@pytest.mark.parametrize("name", ["all.csv", "all.csv.gz"])
def test_a_csv_acts_in_no_spreadsheet_and_reads_back_as_it_was(awkward, tmp_path, name):
    rows, _ = written(awkward, tmp_path / "all.jsonl")
    path = tmp_path / name
    export_write(line_id=awkward.line, path=path, options=EVERYTHING)
    assert cells_read(path) == rows
    with (
        gzip.open(path, "rt", newline="") if name.endswith("gz") else path.open(newline="") as file
    ):
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]


def test_parquet_holds_the_same_rows_with_types(awkward, tmp_path):
    rows, _ = written(awkward, tmp_path / "all.jsonl.gz")
    export_write(line_id=awkward.line, path=tmp_path / "all.parquet", options=EVERYTHING)
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.column_names == list(COLUMNS)
    assert table.to_pylist() == rows
    assert table.schema.field("value").type == pa.int32()


def test_a_dataset_folder_is_arrow_with_its_features_beside_it(awkward, tmp_path):
    rows, _ = written(awkward, tmp_path / "all.jsonl")
    folder = tmp_path / "all"
    export_write(line_id=awkward.line, path=folder, options=EVERYTHING)
    state = json.loads((folder / "state.json").read_text())
    (data,) = [folder / one["filename"] for one in state["_data_files"]]
    with pa.ipc.open_stream(data) as stream:
        assert stream.read_all().to_pylist() == rows
    features = json.loads((folder / "dataset_info.json").read_text())["features"]
    assert list(features) == list(COLUMNS)
    assert features["messages"] == [
        {name: {"dtype": "string", "_type": "Value"} for name in ("role", "content")}
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"all", "all.jsonl"}
    with pytest.raises(AnnotationError, match="exists already"):
        export_write(line_id=awkward.line, path=folder, options=EVERYTHING)


def test_a_dataset_folder_travels_as_one_archive(awkward, tmp_path):
    export_write(line_id=awkward.line, path=tmp_path / "all.zip", options=EVERYTHING)
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
    with pa.ipc.open_stream(next((tmp_path / "out").glob("*.arrow"))) as stream:
        assert stream.read_all().num_rows == len(AWKWARD)


@pytest.mark.parametrize("name", ["all.jsonl", "all.csv", "all.parquet", "all", "all.zip"])
def test_of_a_file_that_breaks_off_nothing_stays(awkward, tmp_path, name, monkeypatch):
    def stop(rows: int) -> None:
        raise RuntimeError(f"stopped at {rows}")

    monkeypatch.setattr("annotation.exchange.exporting.EVERY", 2)
    with pytest.raises(RuntimeError, match="stopped at 2"):
        export_write(line_id=awkward.line, path=tmp_path / name, options=EVERYTHING, tick=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_name_says_the_container_and_an_unknown_ending_is_named(tmp_path):
    assert container_of(tmp_path / "v1.2" / "a.b.csv.gz") == ("csv", True)
    with pytest.raises(AnnotationError, match=r"labels.xlsx ends in .xlsx: let it end in .jsonl"):
        container_of(tmp_path / "labels.xlsx")


def test_only_the_campaigns_that_were_named_are_written(campaign, tmp_path):
    other = a_campaign(line_id=campaign.line)
    for each in (campaign, other):
        some_pairs(each, 1, split="train")
        label_next(an_annotator(each), each)
    options = ExportOptions(content="everything", campaigns=(other.slug,))
    (row,) = written(campaign, tmp_path / "all.jsonl", options)[0]
    assert (row["campaign"], row["campaign_name"]) == (other.slug, other.name)
