from __future__ import annotations

import uuid

import pytest
from django.test import Client

from tests.support import registry
from tests.support.people import person_create
from web.models import Notice
from web.registry import Panel
from web.services import audit_record, notice_send

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=1)


def _signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_stranger_is_sent_to_sign_in():
    answer = Client().get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/")


def test_the_sign_in_page_opens_the_site_and_offers_no_sign_up():
    person_create("ann", "annotator")
    page = Client().get("/accounts/login/")
    assert b"Accounts are made by a lead" in page.content
    assert b"signup" not in page.content
    answer = Client().post("/accounts/login/", {"login": "ann", "password": "secret-of-ann"})
    assert (answer.status_code, answer["Location"]) == (302, "/")


@pytest.mark.parametrize(
    "address",
    [
        "/accounts/password/change/",
        "/accounts/2fa/",
        "/accounts/logout/",
        "/accounts/reauthenticate/",
    ],
)
def test_account_pages_wear_the_frame(address):
    page = _signed_in(person_create("ann", "annotator")).get(address)
    assert page.status_code in {200, 302}
    if page.status_code == 200:
        assert b'class="site-header"' in page.content


def test_home_shows_the_panels_of_the_persons_roles_in_order(monkeypatch):
    def panel(key: str, role: str, order: int) -> Panel:
        return Panel(
            key, frozenset({role}), order, "web/parts/figure.html", lambda _: {"label": key}
        )

    panels = panel("late", "lead", 20), panel("early", "lead", 10), panel("other", "engineer", 5)
    registry.only(monkeypatch, Panel, *panels)
    html = _signed_in(person_create("lea", "lead")).get("/").content.decode()
    assert html.index("early") < html.index("late")
    assert "other" not in html


def test_home_leaves_out_a_panel_with_nothing_to_show(monkeypatch):
    empty = Panel("x", frozenset({"lead"}), 1, "none.html", lambda _: None)
    registry.only(monkeypatch, Panel, empty)
    html = _signed_in(person_create("lea", "lead")).get("/").content.decode()
    assert "There is nothing to do at the moment" in html


def test_home_tells_a_person_without_role_what_to_do():
    assert b"A lead gives roles" in _signed_in(person_create("new")).get("/").content


def test_the_badge_counts_unread_notices_and_opening_one_clears_it():
    ann = person_create("ann", "annotator")
    notice_send(
        users=[ann], topic="t", level="attention", text="The queue is empty.", url="/queue/"
    )
    client = _signed_in(ann)
    assert b"1 unread" in client.get("/notices/").content
    notice = Notice.objects.get()
    answer = client.post(f"/notices/{notice.pk}/")
    assert answer["Location"] == "/queue/"
    assert b"1 unread" not in client.get("/notices/").content


def test_nobody_opens_the_notice_of_another():
    notice_send(users=[person_create("ann")], topic="t", level="info", text="For Ann.", url="")
    bob = _signed_in(person_create("bob", "lead"))
    assert b"For Ann." not in bob.get("/notices/").content
    assert bob.post(f"/notices/{Notice.objects.get().pk}/").status_code == 404


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example/"])
def test_a_notice_never_leads_to_another_site(url):
    ann = person_create("ann")
    notice_send(users=[ann], topic="t", level="info", text="x", url=url)
    assert _signed_in(ann).post(f"/notices/{Notice.objects.get().pk}/")["Location"] == "/notices/"


def test_the_audit_log_is_for_leads_and_shows_a_leads_own_lines():
    audit_record(actor="schedule", verb="started", target="mine", line=LINE)
    audit_record(actor="schedule", verb="started", target="theirs", line=uuid.UUID(int=2))
    assert _signed_in(person_create("eve", "engineer")).get("/audit/").status_code == 403
    html = _signed_in(person_create("lea", "lead", line=LINE)).get("/audit/").content.decode()
    assert "mine" in html
    assert "theirs" not in html


def test_errors_have_pages_with_a_way_out(monkeypatch):
    client = _signed_in(person_create("ann", "annotator"))
    missing, forbidden = client.get("/nowhere/"), client.get("/audit/")
    assert (missing.status_code, forbidden.status_code) == (404, 403)
    for page in (missing, forbidden):
        assert b"Go to the home page" in page.content
        assert page["Content-Security-Policy"]


def test_a_broken_view_answers_with_a_sentence(monkeypatch):
    def broken(_request):
        raise ZeroDivisionError

    registry.only(monkeypatch, Panel, Panel("x", frozenset({"lead"}), 1, "x.html", broken))
    client = _signed_in(person_create("lea", "lead"))
    client.raise_request_exception = False
    answer = client.get("/")
    assert answer.status_code == 500
    assert b"Something broke on our side" in answer.content


def test_a_form_that_is_too_old_says_so():
    client = Client(enforce_csrf_checks=True)
    client.force_login(person_create("ann"))
    answer = client.post("/notices/read/")
    assert answer.status_code == 403
    assert b"too old to be accepted" in answer.content
