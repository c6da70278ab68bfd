"""A form that was not taken gives back what a person wrote into it."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.support.people import person_create

pytestmark = pytest.mark.django_db
TEXT = "Prefer the answer that says what it does not know.\n\n</textarea><b>Second</b> paragraph."
SHOWN = TEXT.replace("<", "&lt;").replace(">", "&gt;")
SENT = {
    "guidelines": TEXT,
    "kind": "help",
    "password": "correct horse battery staple",
    "api_token": "outerloop_0123456789abcdefgh",
    "line": "a",
}


@pytest.mark.parametrize("name", ["exchange:import", "web:notices_all_read", "accounts:people"])
def test_a_form_after_the_session_ended_shows_what_was_written(name):
    page = "http://testserver/some/page/?version=2"
    answer = Client().post(reverse(name), SENT, headers={"referer": page})
    said = answer.content.decode()
    assert answer.status_code == 401
    assert "You were signed out before this was sent" in said
    assert SHOWN in said
    assert ">Guidelines</label>" in said
    assert not any(secret in said for secret in (SENT["password"], SENT["api_token"], ">Kind<"))
    assert "/accounts/login/?next=%2Fsome%2Fpage%2F%3Fversion%3D2" in said
    assert answer["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "page", ["", "http://elsewhere.example/x/", "http://testserver//evil.example/"]
)
def test_the_way_back_leads_nowhere_else(page):
    headers = {"referer": page} if page else {}
    answer = Client().post(reverse("accounts:people"), SENT, headers=headers)
    assert '/accounts/login/?next=%2F"' in answer.content.decode()


def test_a_look_and_a_script_are_sent_to_the_sign_in_page_as_before():
    address = reverse("accounts:people")
    assert Client().get(address).status_code == 302
    assert Client().post(address, SENT, headers={"HX-Request": "true"}).status_code == 302


def test_a_file_alone_is_no_text():
    file = SimpleUploadedFile("rows.jsonl", b"{}")
    answer = Client().post(reverse("exchange:import"), {"file": file, "line": "x"})
    assert answer.status_code == 401
    assert "What you wrote" not in answer.content.decode()


def test_a_form_of_before_a_sign_in_shows_what_was_written_to_its_own_site_alone():
    client = Client(enforce_csrf_checks=True)
    client.force_login(person_create("lea", "lead"))
    address = reverse("accounts:people")
    own = {"referer": "http://testserver/people/"}
    answer = client.post(address, SENT, headers=own)
    said = answer.content.decode()
    assert answer.status_code == 403
    assert SHOWN in said
    assert 'href="/people/">Open the page again' in said
    answer = client.post(address, SENT, headers={"referer": "http://elsewhere.example/"})
    assert answer.status_code == 403
    assert "Second" not in answer.content.decode()
