"""Data pages: files in and out, watched and stopped, by engineers and leads of the line only."""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from kombu.exceptions import OperationalError

from annotation.accounts.models import User
from annotation.campaigns.services import campaign_create
from annotation.comparisons.models import Comparison
from annotation.exchange import services, tasks
from annotation.exchange.models import ExportJob, ImportJob
from tests.annotation.exchange.test_containers import container_made
from tests.support import registry
from tests.support.field_shapes import EXAMPLES
from tests.support.people import person_create
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)
CHOSEN = {
    "content": "training",
    "container": "jsonl",
    "layout": "explicit",
    "shape": "conversational",
}
GOOD = {"prompt": "What is 1 + 1?", "chosen": "Two.", "rejected": "Three, I think."}


def _client(name: str, *roles: str, line=LINE) -> Client:
    client = Client()
    client.force_login(person_create(name, *roles, line=line))
    return client


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path
    registry.named_lines(monkeypatch, desk=LINE, other=OTHER_LINE)


@pytest.fixture
def hints(monkeypatch):
    """What the pages asked Celery to do; nothing is sent."""
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(tasks.import_run, "delay", lambda job: sent.append(("import", job)))
    monkeypatch.setattr(tasks.export_run, "delay", lambda job: sent.append(("export", job)))
    return sent


@pytest.fixture
def eve():
    return _client("eve", "engineer")


def _file(*rows: object, name: str = "pairs.jsonl", packed: bool = False) -> SimpleUploadedFile:
    lines_ = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    content = "\n".join(lines_).encode()
    return SimpleUploadedFile(name, gzip.compress(content) if packed else content)


def _send(client: Client, capture, file: SimpleUploadedFile, **fields):
    data = {"file": file, "line": str(LINE), "format": "auto", **fields}
    with capture(execute=True):
        return client.post("/data/import/", data)


@pytest.mark.parametrize(("roles", "line"), [(("annotator",), LINE), (("lead",), OTHER_LINE)])
def test_annotators_and_staff_of_other_lines_reach_no_job(eve, hints, roles, line):
    job = services.import_create(
        line_id=LINE, path=services.upload_store(name="a.jsonl", chunks=[b"{}"])
    )
    export = services.export_create(line_id=LINE)
    outsider = _client("outsider", *roles, line=line)
    for address in (
        f"/data/imports/{job.pk}/",
        f"/data/imports/{job.pk}/rejections.csv",
        f"/data/exports/{export.pk}/",
        f"/data/exports/{export.pk}/file/",
    ):
        assert outsider.get(address).status_code == 403
    for address in (
        f"/data/imports/{job.pk}/cancel/",
        f"/data/exports/{export.pk}/cancel/",
    ):
        assert outsider.post(address).status_code == 403
    assert b"a.jsonl" not in outsider.get("/data/").content


@pytest.mark.parametrize("packed", [False, True])
def test_an_upload_becomes_a_job_that_takes_in_the_good_rows_and_names_the_bad(
    eve, hints, django_capture_on_commit_callbacks, packed
):
    name = "pairs.jsonl.gz" if packed else "pairs.jsonl"
    file = _file(
        GOOD, "{broken", {"prompt": "x", "chosen": 3, "rejected": "y"}, name=name, packed=packed
    )
    answer = _send(eve, django_capture_on_commit_callbacks, file)
    job = ImportJob.objects.get()
    assert answer["Location"] == f"/data/imports/{job.pk}/"
    assert hints == [("import", str(job.pk))]
    assert 'hx-trigger="every 1s"' in eve.get(f"/data/imports/{job.pk}/").content.decode()

    services.import_run(job_id=job.pk)
    html = eve.get(f"/data/imports/{job.pk}/").content.decode()
    assert "hx-trigger" not in html
    assert "Done" in html
    assert Comparison.objects.count() == 1
    csv = b"".join(eve.get(f"/data/imports/{job.pk}/rejections.csv")).decode().splitlines()
    assert [line.split(",")[0] for line in csv] == ["line", "2", "3"]


def test_a_poll_leaves_what_is_to_be_told_to_the_next_page(eve):
    path = services.upload_store(name="a.jsonl", chunks=[b"{}"])
    job = services.import_create(line_id=LINE, path=path)
    page = f"/data/imports/{job.pk}/"
    eve.post(f"{page}cancel/")
    assert b"The import stops" not in eve.get(page, headers={"HX-Request": "true"}).content
    assert b"The import stops" in eve.get(page).content


def test_a_job_can_be_stopped(eve):
    path = services.upload_store(name="a.jsonl", chunks=[b"{}"])
    job = services.import_create(line_id=LINE, path=path)
    page = eve.post(f"/data/imports/{job.pk}/cancel/", follow=True)
    assert b"Cancelled" in page.content
    again = eve.post(f"/data/imports/{job.pk}/cancel/", follow=True)
    assert b"The import had ended before: nothing was cancelled." in again.content
    export = services.export_create(line_id=LINE)
    assert (
        b"The export stops" in eve.post(f"/data/exports/{export.pk}/cancel/", follow=True).content
    )
    again = eve.post(f"/data/exports/{export.pk}/cancel/", follow=True)
    assert b"The export had ended before: nothing was cancelled." in again.content


def test_a_file_that_is_no_json_lines_is_refused_beside_its_field(
    eve, hints, django_capture_on_commit_callbacks
):
    page = _send(eve, django_capture_on_commit_callbacks, _file(GOOD, name="pairs.xlsx"))
    assert b"Choose a file that ends in" in page.content
    assert not ImportJob.objects.exists()


def test_nothing_is_taken_into_a_line_of_others(eve, hints, django_capture_on_commit_callbacks):
    _send(eve, django_capture_on_commit_callbacks, _file(GOOD), line=str(OTHER_LINE))
    assert not ImportJob.objects.exists()


def test_a_broker_that_is_away_does_not_lose_the_job(
    eve, monkeypatch, django_capture_on_commit_callbacks
):
    def away(_job):
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.import_run, "delay", away)
    answer = _send(eve, django_capture_on_commit_callbacks, _file(GOOD))
    assert answer.status_code == 302
    assert ImportJob.objects.get().state == "queued"


def test_an_excerpt_is_no_formula_for_a_spreadsheet(eve, hints, django_capture_on_commit_callbacks):
    _send(eve, django_capture_on_commit_callbacks, _file(GOOD, '=HYPERLINK("http://evil.example")'))
    job = ImportJob.objects.get()
    services.import_run(job_id=job.pk)
    csv = b"".join(eve.get(f"/data/imports/{job.pk}/rejections.csv")).decode()
    assert ",=" not in csv
    assert ',"=' not in csv


def test_an_export_is_written_and_downloaded(eve, hints, django_capture_on_commit_callbacks):
    path = services.upload_store(name="a.jsonl", chunks=[json.dumps(GOOD).encode()])
    services.import_run(job_id=services.import_create(line_id=LINE, path=path).pk)
    with django_capture_on_commit_callbacks(execute=True):
        answer = eve.post("/data/export/", {"line": str(LINE), **CHOSEN, "shape": "plain"})
    job = ExportJob.objects.get()
    assert answer["Location"] == f"/data/exports/{job.pk}/"
    assert hints == [("export", str(job.pk))]
    assert eve.get(f"/data/exports/{job.pk}/file/").status_code == 404
    services.export_run(job_id=job.pk)
    assert b"Download" in eve.get(f"/data/exports/{job.pk}/").content
    content = b"".join(eve.get(f"/data/exports/{job.pk}/file/").streaming_content)
    with gzip.open(io.BytesIO(content), "rt") as file:
        (row,) = [json.loads(line) for line in file]
    assert {key: row[key] for key in GOOD} == GOOD


def test_the_page_orders_everything_as_a_table_and_every_fetch_is_in_the_log(eve, hints, tmp_path):
    path = services.upload_store(name="a.jsonl", chunks=[json.dumps(GOOD).encode()])
    services.import_run(job_id=services.import_create(line_id=LINE, path=path).pk)
    chosen = {**CHOSEN, "content": "everything", "container": "csv"}
    address = eve.post("/data/export/", {"line": str(LINE), **chosen})["Location"]
    services.export_run(job_id=ExportJob.objects.get().pk)
    assert "every judgment and skip" in eve.get(address).content.decode()
    answer = eve.get(f"{address}file/")
    assert answer["Content-Disposition"].endswith('.csv.gz"')
    with gzip.open(io.BytesIO(b"".join(answer.streaming_content)), "rt", newline="") as file:
        (row,) = csv.DictReader(file)
    assert json.loads(row["messages"]) == [{"role": "user", "content": GOOD["prompt"]}]
    verbs = AuditEvent.objects.filter(line=LINE).order_by("at").values_list("actor", "verb")
    eve_id = str(User.objects.get(username="eve").pk)
    assert list(verbs)[-2:] == [(eve_id, "exported"), (eve_id, "downloaded export")]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"layout": "unpaired", "ties": "on"}, "leave ties out of the unpaired layout"),
        ({"container": "xlsx"}, "xlsx"),
    ],
)
def test_choices_that_cannot_be_are_answered_on_the_page(eve, hints, chosen, says):
    answer = eve.post("/data/export/", {"line": str(LINE), **CHOSEN, **chosen})
    assert (answer.status_code, says in answer.content.decode()) == (200, True)
    assert not ExportJob.objects.exists()


def _campaigns():
    return [
        campaign_create(line_id=line, name=name, state="closed")
        for line, name in ((LINE, "Ours"), (OTHER_LINE, "Theirs"))
    ]


def test_an_import_goes_into_the_campaign_that_was_chosen_or_named(
    eve, hints, django_capture_on_commit_callbacks
):
    ours, _ = _campaigns()
    for chosen, name in (({"campaign": str(ours.pk)}, "Ours"), ({"campaign_new": "New"}, "New")):
        _send(eve, django_capture_on_commit_callbacks, _file(GOOD), **chosen)
        done = services.import_run(job_id=ImportJob.objects.latest("created_at").pk)
        assert done is not None
        assert (done.state, done.campaign and done.campaign.name) == ("done", name)
    assert Comparison.objects.filter(campaign=ours).count() == 1
    page = eve.get("/data/import/").content.decode()
    assert "Ours" in page
    assert "Theirs" not in page  # a line of others


@pytest.mark.parametrize(
    ("line", "new", "says"),
    [
        (OTHER_LINE, "", "Select a valid choice"),
        (LINE, "New", "not both"),
    ],
)
def test_a_campaign_that_does_not_fit_is_refused_beside_its_field(
    eve, hints, django_capture_on_commit_callbacks, line, new, says
):
    campaign = next(c for c in _campaigns() if c.line == line)
    page = _send(
        eve,
        django_capture_on_commit_callbacks,
        _file(GOOD),
        campaign=str(campaign.pk),
        campaign_new=new,
    )
    assert says in page.content.decode()
    assert not ImportJob.objects.exists()


def test_a_campaign_of_another_line_of_ones_own_is_refused(
    hints, django_capture_on_commit_callbacks
):
    _, theirs = _campaigns()
    lead = _client("lea", "lead", line=None)
    page = _send(lead, django_capture_on_commit_callbacks, _file(GOOD), campaign=str(theirs.pk))
    assert "belongs to another line" in page.content.decode()
    assert not ImportJob.objects.exists()


@pytest.mark.parametrize("packed", [False, True])
def test_every_shape_of_the_field_comes_in_by_the_page_in_one_file(
    eve, hints, django_capture_on_commit_callbacks, packed
):
    rows = [row for example in EXAMPLES for row in example.rows]
    name = "all.json.gz" if packed else "all.json"
    content = json.dumps(rows).encode()
    file = SimpleUploadedFile(name, gzip.compress(content) if packed else content)
    _send(eve, django_capture_on_commit_callbacks, file)
    job = ImportJob.objects.get()
    services.import_run(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.counts["rows"], job.counts["rows_rejected"]) == ("done", len(rows), 0)
    assert set(job.counts["unused"]) == {name for example in EXAMPLES for name in example.unused}
    page = eve.get(f"/data/imports/{job.pk}/").content.decode()
    assert "Fields that were not used" in page
    assert ">response_0_severity_level</dt><dd>1</dd>" in page


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows.jsonl.zst", "saved.zip"])
def test_a_container_that_was_uploaded_is_read(
    eve, hints, django_capture_on_commit_callbacks, tmp_path, name
):
    content = container_made(tmp_path, name).read_bytes()
    _send(eve, django_capture_on_commit_callbacks, SimpleUploadedFile(name, content))
    job = ImportJob.objects.get()
    services.import_run(job_id=job.pk)
    job.refresh_from_db()
    assert (job.error, job.counts["rows"], job.counts["votes_new"]) == ("", 7, 7)
    event = AuditEvent.objects.get(verb="imported")
    assert (event.target, event.line, event.detail) == (f"file {name}", LINE, {"job": str(job.pk)})
