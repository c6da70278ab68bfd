"""What all operations share: the token, its scope and its rate, lists by key, one shape of refusals."""

from __future__ import annotations

import threading
import uuid
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.campaigns.models import Campaign
from tests.annotation.factories import a_campaign, some_pairs
from tests.support.documented import assert_said
from tests.support.programs import a_program, refused

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=91)


@pytest.fixture
def eve():
    return a_program("engineer", "read", "campaigns", "import", line=LINE)


def test_without_a_token_nothing_opens_and_a_session_is_none(eve):
    assert_said("token missing", refused(Client().get("/api/v1/campaigns"), 401)["detail"])
    signed_in = Client()
    signed_in.force_login(eve.user)
    answer = signed_in.get("/api/v1/campaigns")
    assert_said("token missing", refused(answer, 401)["detail"])
    assert answer["WWW-Authenticate"] == "Bearer"
    wrong = Client(headers={"Authorization": "Bearer outerloop_guess"})
    assert_said("token not valid", refused(wrong.get("/api/v1/campaigns"), 401)["detail"])


def test_a_token_opens_what_is_in_its_scopes(eve):
    answer = eve.get("exports")
    assert_said("token without the scope", refused(answer, 403)["detail"])
    assert "export" in answer.json()["detail"]
    assert eve.get("campaigns").status_code == 200


def test_scopes_bind_the_other_addresses_that_take_a_token_too(eve):
    answer = eve.client.post("/api/exports/", {"line": str(LINE)}, content_type="application/json")
    assert answer.status_code == 403
    assert_said("token without the scope", answer.json()["error"])


def test_beyond_the_limit_a_token_waits_and_others_do_not(eve, settings, monkeypatch):
    settings.OUTERLOOP_API_PER_MINUTE = 3
    clock = SimpleNamespace(time=lambda: 6_000_015.0)  # 15 seconds into a minute
    monkeypatch.setattr("web.api.access.time", clock)
    assert [eve.get("campaigns").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = eve.get("campaigns")
    assert_said("token too often", refused(answer, 429)["detail"])
    assert answer["Retry-After"] == "46"
    other = a_program("engineer", "read", line=LINE, name="bob")
    assert other.get("campaigns").status_code == 200
    clock.time = lambda: 6_000_060.0
    assert eve.get("campaigns").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_moment_are_all_counted(settings, monkeypatch):
    settings.OUTERLOOP_API_PER_MINUTE = 20
    monkeypatch.setattr("web.api.access.time", SimpleNamespace(time=lambda: 6_000_015.0))
    eve = a_program("engineer", "campaigns", line=LINE)
    answered: list[int] = []

    def send() -> None:
        answered.extend(
            eve.get("exports").status_code for _ in range(5)
        )  # out of scope, yet counted
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answered) == [403] * 20 + [429] * 20


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_a_list_gives_every_row_once_whatever_the_page(eve, limit):
    made = [a_campaign(line_id=LINE) for _ in range(6)]
    Campaign.objects.update(created_at=made[0].created_at)  # the key has to tell equal times apart
    a_campaign()  # of a line that eve does not see
    found = [row["id"] for row in eve.items("campaigns", limit=limit)]
    assert sorted(found) == sorted(str(each.pk) for each in made)


def queries(eve, address) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert eve.get(address).status_code == 200
    return len(asked)


def test_a_list_of_five_asks_the_database_no_more_than_one_of_one(eve):
    campaign = a_campaign(line_id=LINE, guidelines="Be kind.")
    gold = f"campaigns/{campaign.pk}/gold"
    sums = {"prompt": "1 + 1?", "first": "2", "second": "3", "value": 1}
    eve.post(gold, sums)
    before = [queries(eve, address) for address in ("campaigns", gold)]
    for n in range(4):
        a_campaign(line_id=LINE, guidelines="Be brief.")
        assert eve.post(gold, {**sums, "prompt": f"1 + {n}"}).status_code == 201
    assert [queries(eve, address) for address in ("campaigns", gold)] == before
    assert {row["guidelines"] for row in eve.items("campaigns")} == {1}
    assert len(eve.items(gold)) == 5


@pytest.mark.parametrize(
    "after", ["x", "é", "bnVsbA==", "W10=", "WyJcdTAwMDAiLCAxXQ==", "WyI5OTk5OTktMDEtMDEiLCAxXQ=="]
)
def test_a_damaged_key_is_named(eve, after):
    problem = refused(eve.get("campaigns", after=after), 422)
    assert problem["errors"][0]["field"] == "after"
    assert_said("damaged cursor", problem["errors"][0]["says"])


@pytest.mark.parametrize("limit", ["0", "201", "many", "-1", "1e3", "9" * 40])
def test_a_wrong_limit_names_its_field(eve, limit):
    assert refused(eve.get("campaigns", limit=limit), 422)["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"line": str(LINE), "name": ""}, "name"),
        ({"line": str(LINE), "name": "   "}, "name"),
        ({"line": "x", "name": "Tone"}, "line"),
        ({"line": str(LINE), "name": ["Tone"]}, "name"),
        ({"line": str(LINE), "name": "Tone", "overlap": 10**30}, "overlap"),
        ({"line": str(LINE), "name": "Tone", "gate_share": 1.5}, "gate_share"),
        ({"line": str(LINE), "name": "Tone", "colour": "red"}, "colour"),
        ({"line": str(LINE), "name": "T", "criteria": [{"key": "A b", "name": "x"}]}, "criteria.0.key"),
        ({"line": str(LINE), "name": "T", "gate_share": 0.9, "gold_share": 0.9}, "body"),
        ([], "body"),
        ("", "body"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_and_nothing_is_made(eve, body, field):
    problem = refused(eve.post("campaigns", body), 422)
    assert [each["field"] for each in problem["errors"]] == [field]
    assert not Campaign.objects.exists()


@pytest.mark.parametrize("body", ["{", '{"line": NaN}', "[" * 100_000, '{"name": 1e', "\xff"])
def test_a_body_that_is_no_json_is_refused(eve, body):
    problem = refused(eve.post("campaigns", body), 400)
    assert "cannot be read" in problem["detail"]


@pytest.mark.parametrize("name", ["nul \\u0000", "half \\ud800"])
def test_what_the_database_cannot_keep_is_refused(eve, name):
    body = f'{{"line": "{LINE}", "name": "{name}"}}'
    assert "cannot be kept" in refused(eve.post("campaigns", body), 422)["detail"]
    assert "cannot be kept" in refused(eve.get("campaigns", after="\x00"), 422)["detail"]


def test_a_body_that_is_too_long_is_refused_with_what_to_do(eve, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    for key in ("", "a-key"):
        answer = eve.post("campaigns", {"line": str(LINE), "name": "n" * 2_000}, key=key)
        assert "send a file" in refused(answer, 413)["detail"]


@pytest.mark.parametrize("address", ["nothing", "campaigns/", "campaigns/x/y", ""])
def test_an_address_without_an_operation_is_a_problem_too(eve, address):
    assert "openapi.json" in refused(eve.get(address), 404)["detail"]


def test_a_bad_id_in_the_address_is_named(eve):
    problem = refused(eve.get("campaigns/not-an-id"), 422)
    assert problem["errors"][0]["field"] == "campaign_id"
    assert refused(eve.get(f"campaigns/{uuid.uuid4()}"), 404)


def test_the_document_is_open_and_names_each_scope_and_refusal():
    answer = Client().get("/api/v1/openapi.json")
    document = answer.json()
    operations = [op for methods in document["paths"].values() for op in methods.values()]
    assert len({op["operationId"] for op in operations}) == len(operations) > 35
    for op in operations:
        assert "Scope: " in op["description"]
        assert {"401", "403", "422", "429"} <= op["responses"].keys()
        assert op["security"] == [{"TokenAuth": []}]
    assert Client().post("/api/v1/openapi.json").status_code == 405


def test_pages_by_session_are_not_opened_by_any_scope(eve):
    campaign = a_campaign(line_id=LINE)
    some_pairs(campaign, 1)
    answer = eve.client.get(f"/campaigns/{campaign.pk}/")
    assert answer.status_code == 403
    assert_said("token where none is taken", answer.json()["error"])
