"""The people page: leads give and take roles on the lines that they lead, and on no other."""

from __future__ import annotations

import base64
import re
import uuid

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from tests.support import registry
from tests.support.people import person_create
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)


@pytest.fixture(autouse=True)
def named_lines(monkeypatch):
    registry.named_lines(monkeypatch, desk=LINE, other=OTHER_LINE)


def _client(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def lea():
    """Leads one line only."""
    return _client(person_create("lea", "lead", line=LINE))


@pytest.fixture
def max_():
    """Leads every line."""
    return _client(person_create("max", "lead"))


def _roles(user) -> set[tuple[str, uuid.UUID | None]]:
    return set(user.memberships.values_list("role", "line"))


@pytest.mark.parametrize("role", ["annotator", "engineer"])
def test_the_page_is_for_leads(role):
    ann = person_create("ann", role)
    client = _client(ann)
    assert client.get("/people/").status_code == 403
    assert client.post(f"/people/{ann.pk}/roles/", {"role": "lead", "line": ""}).status_code == 403
    assert client.post(f"/people/{ann.pk}/state/", {"active": "no"}).status_code == 403
    assert _roles(ann) == {(role, None)}


def test_a_new_person_signs_in_with_the_password_that_is_shown_once(lea):
    data = {"username": "new", "email": "new@example.org", "role": "annotator", "line": str(LINE)}
    html = lea.post("/people/", data).content.decode()
    (password,) = re.findall(r'data-copy="([^"]+)"', html)
    assert Client().login(username="new", password=password)
    assert password not in lea.get("/people/").content.decode()
    assert _roles(get_user_model().objects.get(username="new")) == {("annotator", LINE)}
    assert password not in str(AuditEvent.objects.values())


@pytest.mark.parametrize(
    ("field", "value"),
    [("username", "LEA"), ("email", "LEA@example.org"), ("line", str(OTHER_LINE))],
)
def test_a_taken_name_or_a_foreign_line_is_refused(lea, field, value):
    data = {"username": "new", "email": "new@example.org", "role": "annotator", "line": str(LINE)}
    lea.post("/people/", {**data, field: value})
    assert not get_user_model().objects.filter(username="new").exists()
    assert get_user_model().objects.count() == 1


@pytest.mark.parametrize("line", ["", str(OTHER_LINE), "nonsense"])
def test_a_lead_of_one_line_gives_no_role_elsewhere(lea, line):
    ann = person_create("ann")
    lea.post(f"/people/{ann.pk}/roles/", {"role": "lead", "line": line})
    assert _roles(ann) == set()


def test_roles_are_given_and_taken_on_the_own_line(lea):
    ann = person_create("ann")
    lea.post(f"/people/{ann.pk}/roles/", {"role": "engineer", "line": str(LINE)})
    assert _roles(ann) == {("engineer", LINE)}
    lea.post(f"/people/{ann.pk}/roles/{ann.memberships.get().pk}/")
    assert _roles(ann) == set()
    assert list(AuditEvent.objects.order_by("id").values_list("verb", flat=True)) == [
        "gave role",
        "took role",
    ]


def test_a_lead_takes_no_role_on_another_line_and_none_from_themselves(lea):
    ann = person_create("ann", "annotator", line=OTHER_LINE)
    assert lea.post(f"/people/{ann.pk}/roles/{ann.memberships.get().pk}/").status_code == 403
    own = get_user_model().objects.get(username="lea")
    lea.post(f"/people/{own.pk}/roles/{own.memberships.get().pk}/")
    assert _roles(own) == {("lead", LINE)}


def test_a_membership_is_taken_only_from_the_person_in_the_address(max_):
    ann, bob = person_create("ann", "annotator"), person_create("bob")
    assert max_.post(f"/people/{bob.pk}/roles/{ann.memberships.get().pk}/").status_code == 404


def test_a_closed_account_is_signed_out_at_once_and_can_be_opened_again(lea, max_):
    ann = person_create("ann", "annotator")
    anns = _client(ann)
    assert lea.post(f"/people/{ann.pk}/state/", {"active": "no"}).status_code == 403
    max_.post(f"/people/{ann.pk}/state/", {"active": "no"})
    assert anns.get("/").status_code == 302
    max_.post(f"/people/{ann.pk}/state/", {"active": "yes"})
    ann.refresh_from_db()
    assert ann.is_active


def test_a_page_s_key_with_a_nul_is_a_missing_page_and_no_error(max_):
    key = base64.urlsafe_b64encode(b'["\\u0000"]').decode()
    assert max_.get(f"/people/?older={key}").status_code == 404


def test_nobody_closes_their_own_account(max_):
    own = get_user_model().objects.get(username="max")
    max_.post(f"/people/{own.pk}/state/", {"active": "no"})
    own.refresh_from_db()
    assert own.is_active


def test_preferences_are_everybodys_own_and_one_gesture_is_off_until_chosen():
    ann, bob = person_create("ann", "annotator"), person_create("bob")
    client = Client()
    client.force_login(ann)
    assert 'name="one_gesture"' in client.get("/accounts/preferences/").content.decode()
    assert not ann.one_gesture
    for given, kept in (({"one_gesture": "on"}, True), ({}, False)):
        client.post("/accounts/preferences/", {"break_minutes": "50", **given})
        ann.refresh_from_db()
        assert ann.one_gesture is kept
    wild = {"one_gesture": "on", "is_superuser": "on", "id": bob.pk, "break_minutes": "0"}
    client.post("/accounts/preferences/", wild)
    for user in (ann, bob):
        user.refresh_from_db()
    assert (ann.one_gesture, bob.one_gesture, ann.is_superuser) == (True, False, False)
    assert (ann.break_minutes, bob.break_minutes) == (0, 50)
    refused = client.post("/accounts/preferences/", {"break_minutes": "241"}).content.decode()
    assert "less than or equal to 240" in refused


def test_a_lead_of_one_line_sees_no_address_of_people_outside_it(lea):
    """LEA leads LINE alone."""
    person_create("ina", "annotator", line=LINE)
    person_create("otto", "annotator", line=OTHER_LINE)
    person_create("eve", "engineer")  # of every line
    person_create("nobody")
    page = lea.get("/people/").content.decode()
    shown = {
        name for name in ("lea", "ina", "otto", "eve", "nobody") if f"{name}@example.org" in page
    }
    assert shown == {"lea", "ina", "eve"}


def test_a_lead_of_every_line_sees_every_address(max_):
    person_create("nobody")
    assert "nobody@example.org" in max_.get("/people/").content.decode()
