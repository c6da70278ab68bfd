"""API tokens: shown once, kept as a hash, good for marked addresses only, refused once revoked."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from annotation.accounts.models import ApiToken
from annotation.accounts.tokens import token_issue, token_revoke, token_user
from annotation.contracts import AnnotationError
from annotation.exchange import services, tasks
from annotation.exchange.models import ExportJob
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
    html = client.post("/tokens/", {"name": "nightly", "days": 30}).content.decode()
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
    program = _bearer(token_issue(user=eve, name="p", days=1)[1])
    ordered = _order(program, line=str(LINE), shape="plain", ties=True)
    assert ordered.status_code == 201
    job = ExportJob.objects.get()
    assert (job.line, job.options["shape"], job.options["ties"]) == (LINE, "plain", True)
    assert ordered.json()["file"] is None
    services.export_run(job_id=job.pk)
    state = program.get(ordered.json()["job"]).json()
    assert (state["state"], state["rows"]) == ("done", 0)
    assert program.get(state["file"]).status_code == 200
    assert not program.cookies


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"line": "x"}, "ids (UUIDs)"),
        ({"line": str(LINE), "shape": "round"}, "no shape 'round'"),
        ({"line": str(LINE), "ties": "yes"}, "true or false"),
        ({"line": str(LINE), "path": "/etc"}, "Send a JSON object with"),
    ],
)
def test_a_wrong_order_is_answered_by_a_sentence(eve, document, says):
    answer = _order(_bearer(token_issue(user=eve, name="p", days=1)[1]), **document)
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize("spoil", ["revoked", "expired", "closed", "changed", "none"])
def test_a_token_that_is_not_valid_opens_nothing(eve, spoil):
    token, secret = token_issue(user=eve, name="p", days=1)
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


def test_a_token_can_do_no_more_than_its_owner(eve):
    program = _bearer(token_issue(user=eve, name="p", days=1)[1])
    assert _order(program, line=str(OTHER_LINE)).status_code == 403
    foreign = services.export_create(line_id=OTHER_LINE)
    answer = program.get(f"/api/exports/{foreign.pk}/")
    assert answer.status_code == 403
    assert "engineer, lead" in answer.json()["error"]
    assert program.get(f"/data/exports/{foreign.pk}/file/").status_code == 403
    assert program.get(f"/api/exports/{uuid.uuid4()}/").json()["error"]


@pytest.mark.parametrize("address", ["/", "/data/", "/tokens/", "/people/", "/data/export/"])
def test_pages_for_people_take_no_token(eve, address):
    program = _bearer(token_issue(user=eve, name="p", days=1)[1])
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
    token, secret = token_issue(user=eve, name="evening", days=1)
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
        token_issue(user=eve, name=" ", days=1)
