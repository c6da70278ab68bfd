"""A write that is sent again under its key is carried out once, also by many at the same moment."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from annotation.campaigns.models import Campaign
from tests.annotation.factories import a_campaign
from tests.support.documented import assert_said
from tests.support.programs import a_program, refused
from web.api import idempotency
from web.models import AuditEvent, KeptAnswer

LINE = uuid.UUID(int=91)
TONE = {"line": str(LINE), "name": "Tone"}


@pytest.mark.django_db
def test_the_same_request_again_gets_the_first_answer():
    eve = a_program("engineer", "campaigns", line=LINE)
    first, again = (eve.post("campaigns", TONE, key="k-1") for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert (first.get("Idempotent-Replay"), again["Idempotent-Replay"]) == (None, "true")
    assert (
        Campaign.objects.count() == AuditEvent.objects.filter(verb="created campaign").count() == 1
    )
    assert eve.post("campaigns", TONE, key="k-2").json()["id"] != first.json()["id"]
    assert eve.post("campaigns", TONE).json()["id"] != first.json()["id"]


@pytest.mark.django_db
def test_a_key_stands_for_one_request_of_one_token():
    eve = a_program("engineer", "campaigns", line=LINE)
    assert eve.post("campaigns", TONE, key="k").status_code == 201
    problem = refused(eve.post("campaigns", {**TONE, "name": "Facts"}, key="k"), 422)
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert_said("key of another request", problem["errors"][0]["says"])
    bob = a_program("engineer", "campaigns", line=LINE, name="bob")
    assert bob.post("campaigns", {**TONE, "name": "Facts"}, key="k").status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["k" * 101, "tab\there"])
def test_a_key_that_cannot_be_kept_is_refused(key):
    eve = a_program("engineer", "campaigns", line=LINE)
    assert refused(eve.post("campaigns", TONE, key=key), 422)
    assert not Campaign.objects.exists()


@pytest.mark.django_db
def test_a_refused_request_may_be_mended_and_sent_again_under_its_key():
    eve = a_program("engineer", "campaigns", line=LINE)
    campaign = a_campaign(line_id=LINE, state="closed")
    address = f"campaigns/{campaign.pk}/state"
    assert refused(eve.post(address, {"state": "paused"}, key="k"), 422)
    assert not KeptAnswer.objects.exists()
    assert eve.post(address, {"state": "active"}, key="k").status_code == 200


@pytest.mark.django_db
def test_a_token_without_the_scope_learns_nothing_by_a_key():
    eve = a_program("engineer", "campaigns", line=LINE)
    eve.post("campaigns", TONE, key="k")
    reader = a_program("engineer", "read", line=LINE, name="bob")
    assert refused(reader.post("campaigns", TONE, key="k"), 403)


@pytest.mark.django_db
def test_after_a_day_a_key_is_free_again():
    eve = a_program("engineer", "campaigns", line=LINE)
    eve.post("campaigns", TONE, key="k")
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert eve.post("campaigns", {**TONE, "name": "Facts"}, key="k").status_code == 201


FILE = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{}\r\n'


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "k"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [("multipart/form-data", FILE), ("multipart/form-data; boundary=b", f"{FILE}{FILE}--b--\r\n")],
    ids=["no boundary", "too many files"],
)
def test_a_form_that_cannot_be_read_is_a_problem_with_and_without_a_key(key, kind, body, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 1
    eve = a_program("engineer", "import", line=LINE)
    headers = {"Idempotency-Key": key} if key else {}
    answer = eve.client.post("/api/v1/imports", body, content_type=kind, headers=headers)
    assert refused(answer, 400)["detail"].startswith("The body cannot be read")


@pytest.mark.django_db
def test_a_refused_key_is_counted_like_any_other_request(settings):
    eve = a_program("engineer", "campaigns", line=LINE)
    settings.OUTERLOOP_API_PER_MINUTE = 3
    eve.post("campaigns", TONE, key="k")
    other = {**TONE, "name": "Facts"}
    asked = [eve.post("campaigns", other, key="k").status_code for _ in range(3)]
    assert asked == [422, 422, 429]


@pytest.mark.django_db(transaction=True)
def test_while_a_body_is_read_no_row_is_held(monkeypatch):
    eve = a_program("engineer", "campaigns", line=LINE)
    read, digest = [], idempotency._digest

    def slow(request):
        read.append(connection.in_atomic_block)
        return digest(request)

    monkeypatch.setattr(idempotency, "_digest", slow)
    assert eve.post("campaigns", TONE, key="k").status_code == 201
    assert read == [False]


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_under_one_key_make_one():
    eve = a_program("engineer", "campaigns", line=LINE)
    answers: list[str] = []

    def send() -> None:
        answers.append(eve.post("campaigns", TONE, key="k").json()["id"])
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == Campaign.objects.count() == 1
