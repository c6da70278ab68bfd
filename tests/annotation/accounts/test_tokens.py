"""API tokens: shown once, kept as a hash, good for marked addresses only, refused once revoked."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from annotation.accounts.models import ApiToken
from annotation.accounts.tokens import scopes_open_to, token_issue, token_revoke, token_user
from annotation.contracts import AnnotationError
from annotation.exchange import services, tasks
from annotation.exchange.models import ExportJob
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.support import registry
from tests.support.documented import assert_said
from tests.support.people import person_create
from web.clock import database_now
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)


@pytest.fixture(autouse=True)
def quiet(settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(tasks.export_run, "delay", lambda job: None)
    registry.named_lines(monkeypatch, desk=LINE, other=OTHER_LINE)


@pytest.fixture
def eve() -> Any:
    return person_create("eve", "engineer", line=LINE)


def _bearer(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})


def _order(client: Client, **document: Any) -> Any:
    return client.post("/api/exports/", json.dumps(document), content_type="application/json")


def test_the_secret_is_shown_once_and_stands_nowhere_in_the_database(eve):
    client = Client()
    client.force_login(eve)
    html = client.post(
        "/tokens/", {"name": "nightly", "days": 30, "scopes": ["read"]}
    ).content.decode()
    (secret,) = re.findall(r'data-copy="(outerloop_[^"]+)"', html)
    assert secret not in client.get("/tokens/").content.decode()
    token = ApiToken.objects.get()
    assert token.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert token_user(secret) == eve
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            quoted = connection.ops.quote_name(table)
            cursor.execute(
                f"SELECT count(*) FROM {quoted} AS t WHERE strpos(t::text, %s) > 0", [secret]
            )
            assert cursor.fetchone() == (0,), f"{table} holds the secret"
    assert AuditEvent.objects.get().verb == "made API token"


def test_a_program_orders_an_export_watches_it_and_fetches_the_file(eve):
    campaign = a_campaign(line_id=LINE)
    some_pairs(campaign, 2, split="train")
    rater = an_annotator(campaign)
    labelled = [label_next(rater, campaign, value) for value in (4, 2)]
    program = _bearer(token_issue(user=eve, name="p", days=1, scopes=["read", "export"])[1])
    ordered = _order(program, line=str(LINE), shape="plain", ties=True)
    assert ordered.status_code == 201
    job = ExportJob.objects.get()
    assert (job.line, job.options["shape"], job.options["ties"]) == (LINE, "plain", True)
    assert ordered.json()["file"] is None
    services.export_run(job_id=job.pk)
    state = program.get(ordered.json()["job"]).json()
    assert (state["state"], state["rows"]) == ("done", len(labelled))
    assert state["counts"] == {"rows": 2}
    assert program.get(state["file"]).status_code == 200
    assert not program.cookies


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"line": "x"}, "ids (UUIDs)"),
        ({"line": str(LINE), "shape": "round"}, "no shape 'round'"),
        ({"line": str(LINE), "ties": "yes"}, "true or false"),
        ({"line": str(LINE), "container": "xlsx"}, "no container 'xlsx': use jsonl or csv or"),
        ({"line": str(LINE), "layout": "unpaired", "ties": True}, "leave ties out"),
        ({"line": str(LINE), "campaigns": [str(LINE)]}, f"has no campaign '{LINE}'; it has: none"),
        ({"line": str(LINE), "path": "/etc"}, "Send a JSON object with"),
    ],
)
def test_a_wrong_order_is_answered_by_a_sentence(eve, document, says):
    answer = _order(
        _bearer(token_issue(user=eve, name="p", days=1, scopes=["read", "export"])[1]), **document
    )
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize("spoil", ["revoked", "expired", "closed", "changed", "none"])
def test_a_token_that_is_not_valid_opens_nothing(eve, spoil):
    token, secret = token_issue(user=eve, name="p", days=1, scopes=["read", "export"])
    if spoil == "revoked":
        assert token_revoke(token=token)
        assert not token_revoke(token=token)
    if spoil == "expired":
        ApiToken.objects.update(expires_at=database_now() - timedelta(seconds=1))
    if spoil == "closed":
        eve.is_active = False
        eve.save()
    sent = {"changed": secret[:-1] + "~", "none": ""}.get(spoil, secret)
    for answer in (
        _order(_bearer(sent), line=str(LINE)),
        _bearer(sent).get("/lines/x/rounds/1/report.json"),
    ):
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert_said("token not valid", answer.json()["error"])


def test_an_order_for_a_line_that_there_is_not_is_refused():
    lead = person_create("lead of all", "lead", line=None)
    program = _bearer(token_issue(user=lead, name="p", days=1, scopes=["read", "export"])[1])
    answer = _order(program, line=str(uuid.UUID(int=93)))
    assert (answer.status_code, ExportJob.objects.count()) == (400, 0)
    assert "There is no line 00000000-0000-0000-0000-00000000005d" in answer.json()["error"]


def test_a_token_can_do_no_more_than_its_owner(eve):
    program = _bearer(token_issue(user=eve, name="p", days=1, scopes=["read", "export"])[1])
    assert _order(program, line=str(OTHER_LINE)).status_code == 403
    foreign = services.export_create(line_id=OTHER_LINE)
    answer = program.get(f"/api/exports/{foreign.pk}/")
    assert answer.status_code == 403
    assert "engineer, lead" in answer.json()["error"]
    assert program.get(f"/data/exports/{foreign.pk}/file/").status_code == 403
    assert program.get(f"/api/exports/{uuid.uuid4()}/").json()["error"]


@pytest.mark.parametrize("address", ["/", "/data/", "/tokens/", "/people/", "/data/export/"])
def test_pages_for_people_take_no_token(eve, address):
    program = _bearer(token_issue(user=eve, name="p", days=1, scopes=["read", "export"])[1])
    for answer in (program.get(address), program.post(address)):
        assert answer.status_code == 403
        assert_said("token where none is taken", answer.json()["error"])


def test_an_order_takes_no_session_so_that_no_other_site_can_use_it(eve):
    client = Client(enforce_csrf_checks=True)
    client.force_login(eve)
    answer = _order(client, line=str(LINE))
    assert answer.status_code == 401
    assert_said("token missing", answer.json()["error"])


def test_one_sees_and_revokes_only_the_own_tokens(eve):
    token, secret = token_issue(user=eve, name="evening", days=1, scopes=["read", "export"])
    other = Client()
    other.force_login(person_create("lea", "lead", line=LINE))
    assert b"evening" not in other.get("/tokens/").content
    assert other.post(f"/tokens/{token.pk}/revoke/").status_code == 404
    mine = Client()
    mine.force_login(eve)
    mine.post(f"/tokens/{token.pk}/revoke/")
    assert token_user(secret) is None


def test_the_terminal_makes_lists_and_revokes(eve, capsys):
    call_command("api_token", "eve", name="cron")
    secret = capsys.readouterr().out.strip()
    assert token_user(secret) == eve
    call_command("api_token", "eve", list=True)
    listed = capsys.readouterr().out
    assert secret not in listed
    call_command("api_token", "eve", revoke=uuid.UUID(listed.split()[0]))
    assert token_user(secret) is None
    with pytest.raises(CommandError, match="Nobody has the user name"):
        call_command("api_token", "nobody")
    with pytest.raises(CommandError, match="1 to 365 days"):
        call_command("api_token", "eve", days=0)


def test_a_token_needs_a_name(eve):
    with pytest.raises(AnnotationError, match="Give the token a name"):
        token_issue(user=eve, name=" ", days=1, scopes=["read", "export"])


def test_scopes_are_offered_by_role_and_none_beyond_them_is_given(eve):
    ann = person_create("ann", "annotator", line=LINE)
    assert scopes_open_to(ann) == ["label"]
    assert scopes_open_to(eve) == ["read", "import", "export", "lines", "campaigns", "rounds"]
    assert scopes_open_to(person_create("nobody")) == []
    client = Client()
    client.force_login(ann)
    refused = client.post("/tokens/", {"name": "sim", "days": 1, "scopes": ["read"]})
    assert b"read is not one of the available choices" in refused.content
    client.post("/tokens/", {"name": "sim", "days": 1, "scopes": ["label"]})
    assert ApiToken.objects.get().scopes == ["label"]


@pytest.mark.parametrize("scopes", [[], ["everything"], ["read", "write"]])
def test_a_token_needs_scopes_that_there_are(eve, scopes):
    with pytest.raises(AnnotationError, match="Choose scopes among read, label"):
        token_issue(user=eve, name="p", days=1, scopes=scopes)


def test_tokens_made_before_there_were_scopes_keep_what_they_could_do(eve):
    secret = token_issue(user=eve, name="p", days=1, scopes=["rounds"])[1]
    migration = import_module("annotation.accounts.migrations.0006_token_scopes")
    migration.scopes_of_before(apps, None)
    assert ApiToken.objects.get().scopes == ["read", "export"]
    assert _order(_bearer(secret), line=str(LINE)).status_code == 201


def test_the_terminal_gives_the_scopes_asked_for(eve, capsys):
    call_command("api_token", "eve", scopes="import, rounds")
    assert ApiToken.objects.get().scopes == ["import", "rounds"]
    capsys.readouterr()
    call_command("api_token", "eve", list=True)
    assert capsys.readouterr().out.rstrip().endswith("import,rounds")
    with pytest.raises(CommandError, match="Choose scopes"):
        call_command("api_token", "eve", scopes="all")


def test_a_name_of_a_token_is_kept_whole_or_refused(eve):
    with pytest.raises(AnnotationError, match="at most 60 letters"):
        token_issue(user=eve, name="n" * 61, days=1, scopes=["read"])
    assert token_issue(user=eve, name="n" * 60, days=1, scopes=["read"])[0].name == "n" * 60
