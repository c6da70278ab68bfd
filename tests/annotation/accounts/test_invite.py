"""`manage.py invite`: the very first lead comes from the terminal, without a Python shell."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.accounts.models import User
from tests.support import registry
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=91)


@pytest.fixture(autouse=True)
def named_lines(monkeypatch):
    registry.named_lines(monkeypatch, desk=LINE)


def invited(capsys, *words: str) -> str:
    call_command("invite", *words)
    return str(capsys.readouterr().out).strip()


def test_the_first_lead_chooses_a_password_under_the_link_and_leads_every_line(capsys, settings):
    settings.OUTERLOOP_SITE_URL = "https://loop.example"
    link = invited(capsys, "ada", "ada@example.org")
    assert link.startswith("https://loop.example/accounts/")
    client = Client()
    page = client.get(urlsplit(link).path, follow=True)
    words = "a-good-long-phrase-7"
    client.post(page.request["PATH_INFO"], {"password1": words, "password2": words})
    assert Client().login(username="ada", password=words)
    (role,) = User.objects.get(username="ada").memberships.all()
    assert (role.role, role.line) == ("lead", None)
    event = AuditEvent.objects.get(verb="added person")
    assert (event.actor, event.line, event.detail) == ("shell", None, {"role": "lead"})


def test_another_role_on_one_line(capsys):
    invited(capsys, "eve", "eve@example.org", "--role", "engineer", "--line", str(LINE))
    (role,) = User.objects.get(username="eve").memberships.all()
    assert (role.role, role.line) == ("engineer", LINE)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ADA", "other@example.org"), "the user name ADA already"),
        (("other", "ADA@example.org"), "the e-mail address ADA@example.org already"),
        (("a b", "a@example.org"), "valid username"),
        (("bob", "bob"), "valid email"),
        (("b" * 151, "b@example.org"), "at most 150 characters"),
        (("bob", f"{'b' * 250}@example.org"), "at most 254 characters"),
        (("bob", "b@example.org", "--line", str(uuid.UUID(int=5))), "There is no line"),
        (("bob", "b@example.org", "--role", "king"), "invalid choice: 'king'"),
    ],
)
def test_what_cannot_be_is_refused_and_adds_nobody(capsys, words, says):
    invited(capsys, "ada", "ada@example.org")
    with pytest.raises(CommandError, match=says):
        call_command("invite", *words)
    assert User.objects.count() == 1


def test_without_the_key_nobody_is_added(settings):
    settings.SECRET_KEY = ""
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_SECRET_KEY is none here"):
        call_command("invite", "ada", "ada@example.org")
    assert not User.objects.exists()
