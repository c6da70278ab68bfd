from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from allauth.socialaccount.models import SocialApp
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import RequestFactory

from outerloop.settings.env import env_origins
from tests.architecture.packages import PACKAGES
from web.middleware import CompressedPages, content_security_policy, policy, request_id
from web.tracing import log_fields


def test_the_policy_allows_nothing_inline_and_no_foreign_host():
    assert "unsafe" not in policy()
    assert "http" not in policy()
    assert "script-src 'self';" in policy()


def test_a_response_with_its_own_policy_keeps_it():
    own = HttpResponse(headers={"Content-Security-Policy": "default-src 'none'"})
    request = RequestFactory().get("/")
    assert (
        content_security_policy(lambda _: own)(request)["Content-Security-Policy"]
        == "default-src 'none'"
    )
    plain = content_security_policy(lambda _: HttpResponse())(request)
    assert plain["Content-Security-Policy"] == policy()


def _forms_lead_to(client, address: str) -> str:
    header = client.get(address).headers["Content-Security-Policy"]
    return str(header.split("form-action ")[1].split(";")[0])


@pytest.mark.django_db
def test_sign_in_forms_may_lead_to_every_configured_provider_and_other_forms_nowhere(
    client, settings
):
    server = "https://id.example.org/realms/x"
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"APPS": [{"settings": {"server_url": server}}]}
    }
    settings.SIGN_IN_ORIGINS = ["https://federated.example.org"]
    SocialApp.objects.create(
        provider="openid_connect",
        provider_id="staff",
        name="Staff",
        client_id="x",
        settings={"server_url": "https://staff.example.org/"},
    )
    assert _forms_lead_to(client, "/accounts/password/reset/") == (
        "'self' https://federated.example.org https://id.example.org https://staff.example.org"
    )
    assert _forms_lead_to(client, "/people/") == "'self'"


def test_form_targets_are_whole_origins_and_cannot_extend_the_policy(monkeypatch):
    monkeypatch.setenv("X", "https://a.example.org; script-src *")
    with pytest.raises(ImproperlyConfigured, match="X holds"):
        env_origins("X")


def _templates() -> list[Path]:
    folders = [
        Path(app.path, "templates")
        for app in apps.get_app_configs()
        if app.name.startswith(PACKAGES)
    ]
    return [file for folder in folders for file in folder.rglob("*.html")]


def test_no_template_holds_what_the_policy_would_block():
    """Inline scripts, styles and handlers; a report that travels as a file brings its own policy."""
    blocked = re.compile(r"<script(?![^>]*\ssrc=)(?![^>]*json)|<style|\sstyle=|\son[a-z]+=", re.I)
    texts = {file: file.read_text() for file in _templates()}
    assert len(texts) > 10
    for file, text in texts.items():
        if 'http-equiv="Content-Security-Policy"' not in text:
            assert not blocked.search(text), f"{file} holds an inline script, style or handler"


def answer(**headers):
    """What one request sees as its id inside, and what the answer says."""
    seen: dict[str, str] = {}

    def view(request):
        seen.update(log_fields())
        return HttpResponse()

    request = RequestFactory().get("/queue/?q=private", headers=headers)
    response = request_id(view)(request)
    return seen["request_id"], response["X-Request-ID"]


def test_the_id_that_a_proxy_gave_is_kept_inside_and_in_the_answer():
    assert answer(**{"X-Request-ID": "edge-0123456789"}) == ("edge-0123456789", "edge-0123456789")


def test_without_one_or_with_a_forged_one_a_new_id_is_drawn():
    for given in ({}, {"X-Request-ID": "short"}, {"X-Request-ID": 'a" forged="yes" 12345678'}):
        inside, outside = answer(**given)
        assert inside == outside
        assert re.fullmatch("[0-9a-f]{32}", inside)
    assert answer()[0] != answer()[0]


def test_the_log_has_the_path_and_the_status_and_not_the_query(caplog):
    caplog.set_level("INFO", logger="outerloop.requests")
    answer()
    (record,) = caplog.records
    assert record.getMessage() == "GET /queue/"
    assert record.status == 200


@pytest.mark.django_db
def test_a_page_is_compressed_and_never_of_one_length(client):
    """The random bytes are what keeps BREACH from counting letters of a secret in it."""
    page = client.get("/accounts/login/", headers={"Accept-Encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert b"<!doctype html>" in gzip.decompress(page.content)
    assert "Accept-Encoding" in page.headers["Vary"]
    lengths = {
        len(client.get("/accounts/login/", headers={"Accept-Encoding": "gzip"}).content)
        for _ in range(12)
    }
    assert len(lengths) > 4
    assert not client.get("/accounts/login/").has_header("Content-Encoding")


@pytest.mark.parametrize("kind", ["application/json", "application/gzip", "text/event-stream"])
def test_what_is_no_page_goes_as_it_is(kind):
    body = HttpResponse(b"x" * 4000, content_type=kind, headers={"ETag": '"digest"'})
    request = RequestFactory().get("/", headers={"Accept-Encoding": "gzip"})
    answer = CompressedPages(lambda _: body)(request)
    assert isinstance(answer, HttpResponse)
    assert (answer.content, answer["ETag"]) == (b"x" * 4000, '"digest"')
    assert not answer.has_header("Content-Encoding")
