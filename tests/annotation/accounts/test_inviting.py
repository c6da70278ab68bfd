"""Many people at once: the good rows are invited, the bad ones named, and a link is good for one password."""

from __future__ import annotations

import re
import uuid
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.mail.backends.locmem import EmailBackend as Server
from django.test import Client

from annotation.accounts.models import User
from tests.support import registry
from tests.support.people import person_create
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)
HEAD = "username,email,role,line\n"


@pytest.fixture(autouse=True)
def named_lines(monkeypatch):
    registry.named_lines(monkeypatch, desk=LINE, other=OTHER_LINE)


def _lead(name: str = "lea", line: uuid.UUID | None = LINE) -> Client:
    client = Client()
    client.force_login(person_create(name, "lead", line=line))
    return client


def _links(html: str) -> list[str]:
    return re.findall(r'data-copy="([^"]+)"', html)


def test_good_rows_are_invited_and_bad_ones_named_by_their_line():
    table = HEAD + (
        "ann,ann@example.org,annotator,desk\n"
        "bob,not-an-address,annotator,desk\n"
        "lea,other@example.org,annotator,desk\n"
        "cy,cy@example.org,owner,desk\n"
        '"dee, jr",dee@example.org,annotator,desk\n'
        "eve,eve@example.org,Engineer,other\n"
        "fay,fay@example.org,ADJUDICATOR,\n"
        "ann,again@example.org,annotator,desk\n"
    )
    html = _lead().post("/people/many/", {"table": table}).content.decode()
    added = set(User.objects.exclude(username="lea").values_list("username", flat=True))
    assert added == {"ann", "fay"}
    fay = User.objects.get(username="fay")
    assert set(fay.memberships.values_list("role", "line")) == {("adjudicator", LINE)}
    named = dict(re.findall(r'<th scope="row">Line (\d+)</th><td[^>]*>(.*?)</td>', html))
    assert named.keys() == {"3", "4", "5", "6", "7", "9"}
    assert "email: Enter a valid email address." in named["3"]
    assert "Somebody has this user name already." in named["4"]
    assert named["5"].startswith("role: ")
    assert named["6"].startswith("username: ")
    assert named["7"].startswith("line: ")
    assert len(_links(html)) == 2
    assert AuditEvent.objects.filter(verb="added person").count() == 2


def test_a_link_is_good_for_one_password_and_signs_in():
    table = HEAD + "ann,a@example.org,annotator,desk"
    html = _lead().post("/people/many/", {"table": table}).content.decode()
    path = urlsplit(_links(html)[0]).path
    ann = Client()
    form = ann.get(path, follow=True)
    place = form.redirect_chain[-1][0]
    word = "a-fine-long-secret-7"
    ann.post(place, {"password1": word, "password2": word})
    assert Client().login(username="ann", password=word)
    again = Client().get(path, follow=True)
    assert 'name="password1"' not in again.content.decode()


def test_a_file_is_read_as_a_pasted_table_is():
    content = "\ufeff" + HEAD + "ann,a@example.org,annotator,desk\n"
    file = SimpleUploadedFile("people.csv", content.encode())
    assert len(_links(_lead().post("/people/many/", {"file": file}).content.decode())) == 1
    assert User.objects.filter(username="ann").exists()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", "one of the two"),
        ("ann,a@example.org,annotator\n", "username, email, role is not among them"),
        ("username,email\nann,a@example.org\n", "role is not among them"),
        (HEAD, "names nobody"),
        (HEAD + "x,x@example.org,annotator,\n" * 501, "501 rows are too many"),
        ("x" * 100_001, "at most 100000 characters"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_a_sentence(table, says):
    html = _lead().post("/people/many/", {"table": table}).content.decode()
    assert says in html
    assert User.objects.count() == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"username,email,role\n\x00,b,c\n"])
def test_a_file_that_is_no_table_is_refused(content):
    answer = _lead().post("/people/many/", {"file": SimpleUploadedFile("p.csv", content)})
    assert "UTF-8" in answer.content.decode()
    assert User.objects.count() == 1


def test_the_link_goes_by_mail_where_mail_is_set_up(settings, django_capture_on_commit_callbacks):
    settings.EMAIL_HOST = "mail.example.org"
    with django_capture_on_commit_callbacks(execute=True):
        html = _lead().post("/people/many/", {"table": HEAD + "ann,a@example.org,annotator,desk"})
    (message,) = mail.outbox
    assert message.to == ["a@example.org"]
    assert _links(html.content.decode())[0] in message.body


def test_the_mails_of_a_table_go_by_one_connection_and_a_silent_server_is_asked_once(
    settings, monkeypatch, django_capture_on_commit_callbacks
):
    settings.EMAIL_HOST = "mail.example.org"
    asked = []
    opened = Server.open

    def silent(server):
        asked.append(server)
        raise TimeoutError("silent")

    rows = "".join(f"p{n},p{n}@example.org,annotator,desk\n" for n in range(3))
    monkeypatch.setattr(Server, "open", silent)
    lead = _lead()
    with django_capture_on_commit_callbacks(execute=True):
        html = lead.post("/people/many/", {"table": HEAD + rows}).content.decode()
    assert len(asked) == 1
    assert len(_links(html)) == 3

    def speaking(server):
        asked.append(server)
        return opened(server)

    monkeypatch.setattr(Server, "open", speaking)
    with django_capture_on_commit_callbacks(execute=True):
        lead.post("/people/many/", {"table": HEAD + rows.replace("p", "q")})
    assert len(mail.outbox) == 3
    assert len({id(server) for server in asked[1:]}) == 1


def test_a_name_that_two_lines_have_is_refused_until_one_is_named_by_its_id(monkeypatch):
    twin = uuid.UUID(int=93)
    lines = [(LINE, "desk"), (OTHER_LINE, "other"), (twin, "Desk")]
    monkeypatch.setattr(
        "annotation.accounts.forms.lines_offered",
        lambda allowed: [SimpleNamespace(id=pk, name=name) for pk, name in lines],
    )
    table = HEAD + f"ann,a@example.org,annotator,DESK\nbo,b@example.org,annotator,{twin}\n"
    html = _lead("max", None).post("/people/many/", {"table": table}).content.decode()
    assert "2 lines are called DESK" in html
    assert f"{LINE}, {twin}" in html
    assert not User.objects.filter(username="ann").exists()
    assert set(User.objects.get(username="bo").memberships.values_list("line", flat=True)) == {twin}


def test_a_lead_of_every_line_may_leave_the_line_empty():
    _lead("max", None).post("/people/many/", {"table": HEAD + "ann,a@example.org,annotator,"})
    ann = User.objects.get(username="ann")
    assert set(ann.memberships.values_list("role", "line")) == {("annotator", None)}
