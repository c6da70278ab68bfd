"""Imports and exports by token: ordered, watched, what was turned away, fetched; a dry run leaves nothing."""

from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Judgment, Prompt
from annotation.exchange import services, tasks
from annotation.exchange.models import ExportJob, ImportJob
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.support.programs import Program, a_program, refused
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)
GOOD = {"prompt": "What is 1 + 1?", "chosen": "Two.", "rejected": "Three, I think."}
BAD = {"prompt": "", "chosen": "Two.", "rejected": "Three."}


@pytest.fixture(autouse=True)
def hints(settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path
    sent: list[str] = []
    monkeypatch.setattr(tasks.import_run, "delay", sent.append)
    monkeypatch.setattr(tasks.export_run, "delay", sent.append)
    return sent


@pytest.fixture
def eve():
    return a_program("engineer", "read", "import", "export", line=LINE)


def _upload(program: Program, content: bytes, name: str = "pairs.jsonl", key: str = "", **fields):
    data = {"line": str(LINE), "file": SimpleUploadedFile(name, content), **fields}
    headers = {"Idempotency-Key": key} if key else {}
    return program.client.post("/api/v1/imports", data, headers=headers)


def test_rows_go_in_and_those_turned_away_are_listed(
    eve, hints, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        ordered = eve.post(
            "imports/rows", {"line": str(LINE), "rows": [GOOD, BAD], "source": "desk"}
        )
    assert ordered.status_code == 201
    job = ImportJob.objects.get()
    assert hints == [str(job.pk)]
    assert ordered.json()["state"] == "queued"
    services.import_run(job_id=job.pk)
    done = eve.get(f"imports/{job.pk}").json()
    assert (done["state"], done["counts"]["rows"], done["counts"]["rows_rejected"]) == (
        "done",
        2,
        1,
    )
    assert Judgment.objects.count() == 1
    (turned_away,) = eve.items(f"imports/{job.pk}/rejections")
    assert (turned_away["line_number"], turned_away["reason"]) == (2, "prompt is empty.")
    assert [row["id"] for row in eve.items("imports", line=str(LINE), state="done")] == [
        str(job.pk)
    ]
    assert eve.items("imports", state="failed") == []
    assert AuditEvent.objects.get().verb == "imported"


def test_a_file_goes_in_as_on_the_page(eve):
    content = gzip.compress(json.dumps(GOOD).encode())
    ordered = _upload(eve, content, name="pairs.jsonl.gz", campaign="Bench", strict="true")
    assert ordered.status_code == 201
    services.import_run(job_id=ordered.json()["id"])
    done = eve.get(f"imports/{ordered.json()['id']}").json()
    assert (done["state"], done["name"], done["options"]["strict"]) == (
        "done",
        "pairs.jsonl.gz",
        True,
    )
    assert done["campaign"] == str(Campaign.objects.get(name="Bench").pk)


def test_rows_go_into_a_campaign_by_its_id_and_not_into_another_line_s(eve):
    own, foreign = a_campaign(line_id=LINE, name="Own"), a_campaign(line_id=OTHER_LINE)
    body = {"line": str(LINE), "rows": [GOOD], "campaign_id": str(own.pk)}
    job = eve.post("imports/rows", body).json()
    services.import_run(job_id=job["id"])
    assert Judgment.objects.get().assignment.comparison.campaign == own
    assert refused(eve.post("imports/rows", {**body, "campaign_id": str(foreign.pk)}), 403)
    chief = a_program("lead", "import", name="max")
    wrong = {**body, "campaign_id": str(foreign.pk)}
    assert "another line" in refused(chief.post("imports/rows", wrong), 422)["detail"]
    both = refused(eve.post("imports/rows", {**body, "campaign": "Own"}), 422)
    assert both["errors"][0]["field"] == "campaign"
    assert ImportJob.objects.count() == 1


def test_a_file_sent_again_under_its_key_is_one_import(eve):
    first, again = (_upload(eve, json.dumps(GOOD).encode(), key="k") for _ in range(2))
    assert first.json() == again.json()
    assert ImportJob.objects.count() == 1
    assert refused(_upload(eve, json.dumps(BAD).encode(), key="k"), 422)


def test_a_dry_run_says_what_an_import_would_do_and_leaves_nothing(eve, tmp_path):
    body = {"line": str(LINE), "rows": [{**GOOD, "colour": "red"}, BAD, GOOD]}
    tried = eve.post("imports/rows/check", body).json()
    counts = tried["counts"]
    assert (tried["state"], counts["rows"], counts["pairs_new"]) == ("done", 3, 1)
    assert tried["unused"] == {"colour": 1}
    assert [row["line_number"] for row in tried["rejections"]] == [2]
    strict = eve.post("imports/rows/check", {**body, "strict": True}).json()
    assert strict["state"] == "failed"
    assert "strict" in strict["error"]
    for model in (Prompt, Judgment, ImportJob, Campaign, AuditEvent):
        assert not model.objects.exists()
    assert list(Path(tmp_path, "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"format": "round"}, "format"),
        ({"rows": []}, "rows"),
        ({"rows": "x"}, "rows"),
        ({"rows": [1]}, "rows.0"),
        ({"line": "x"}, "line"),
        ({"name": " "}, "name"),
        ({"path": "/etc"}, "path"),
    ],
)
def test_a_wrong_order_names_its_field(eve, change, field):
    body = {"line": str(LINE), "rows": [GOOD], **change}
    for address in ("imports/rows", "imports/rows/check"):
        problem = refused(eve.post(address, body), 422)
        assert problem["errors"][0]["field"] == field
    assert not ImportJob.objects.exists()


def test_a_file_of_another_kind_or_none_is_named(eve):
    problem = refused(_upload(eve, b"x", name="pairs.exe"), 422)
    assert problem["errors"][0]["field"] == "file"
    answer = eve.client.post("/api/v1/imports", {"line": str(LINE)})
    assert refused(answer, 422)["errors"][0]["field"] == "file"


def test_an_export_is_ordered_watched_and_fetched(eve):
    eve.post("imports/rows", {"line": str(LINE), "rows": [{**GOOD, "split": "train"}]})
    services.import_run(job_id=ImportJob.objects.get().pk)
    ordered = eve.post("exports", {"line": str(LINE), "shape": "plain"})
    assert ordered.status_code == 201
    job = ordered.json()["id"]
    assert refused(eve.get(f"exports/{job}/file"), 404)
    services.export_run(job_id=ExportJob.objects.get().pk)
    done = eve.get(f"exports/{job}").json()
    assert (done["state"], done["rows"], done["file"]) == ("done", 1, f"/api/v1/exports/{job}/file")
    content = b"".join(eve.client.get(done["file"]).streaming_content)
    (row,) = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    assert (row["prompt"], row["chosen"], row["rejected"]) == tuple(GOOD.values())
    assert [each["id"] for each in eve.items("exports")] == [job]


def test_an_export_holds_what_was_asked_for_in_the_container_asked_for(eve):
    campaign = a_campaign(line_id=LINE)
    some_pairs(campaign, 1)
    rater = an_annotator(campaign)
    label_next(rater, campaign, 4)
    body = {"line": str(LINE), "content": "everything", "container": "csv"}
    job = eve.post("exports", body).json()["id"]
    services.export_run(job_id=job)
    done = eve.get(f"exports/{job}").json()
    assert (done["options"]["container"], done["rows"]) == ("csv", 1)
    content = gzip.decompress(b"".join(eve.client.get(done["file"]).streaming_content)).decode()
    head, row = content.splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=False))["rater"] == rater.pseudonym
    wrong = eve.post("exports", {"line": str(LINE), "layout": "unpaired", "ties": True})
    assert "leave ties out" in refused(wrong, 422)["detail"]
    unknown = refused(eve.post("exports", {**body, "container": "xml"}), 422)
    assert unknown["errors"][0]["field"] == "container"
    empty = a_program("lead", "export", name="max").post("exports", {"line": str(uuid.uuid4())})
    assert "There is no line" in refused(empty, 422)["detail"]


def test_a_waiting_job_is_cancelled_and_an_ended_one_left_as_it_is(eve):
    a_campaign(line_id=LINE)
    imported = eve.post("imports/rows", {"line": str(LINE), "rows": [GOOD]}).json()["id"]
    exported = eve.post("exports", {"line": str(LINE)}).json()["id"]
    for address in (f"imports/{imported}/cancel", f"exports/{exported}/cancel"):
        assert [eve.post(address).json()["state"] for _ in range(2)] == ["cancelled", "cancelled"]


def test_jobs_of_another_line_are_closed(eve):
    a_campaign(line_id=OTHER_LINE)
    foreign = services.export_create(line_id=OTHER_LINE)
    assert refused(eve.get(f"exports/{foreign.pk}"), 403)
    assert refused(eve.get("imports", line=str(OTHER_LINE)), 403)
    assert eve.items("exports") == []
    assert refused(eve.post("imports/rows", {"line": str(OTHER_LINE), "rows": [GOOD]}), 403)
    assert not ImportJob.objects.exists()
