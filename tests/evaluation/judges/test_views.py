"""Leads set a line's judge and try it; its page says what it would be given."""

from __future__ import annotations

import pytest
from django.urls import reverse

from evaluation.judges.models import JudgeAnswer, JudgeRun, LineJudge
from tests.evaluation.judges.conftest import judge_at
from tests.outerloop.rounds.world import bare_line
from tests.support.people import person_create
from tests.support.scripted_judge import always_a, rambling, scripted_judge
from web.models import AuditEvent

pytestmark = pytest.mark.django_db

FORM = {
    "active": "on", "url": "https://judge.example.com/v1/", "model": "wise-1", "rubric": "Be kind.",
    "temperature": "0", "max_tokens": "256", "connect_seconds": "5", "seconds": "30", "attempts": "2",
    "at_once": "4", "max_pairs": "100", "minutes": "30",
}  # fmt: skip
TEXTS = {"prompt": "Why?", "first": "a good answer", "second": "another"}


@pytest.fixture
def line():
    return bare_line()


@pytest.fixture
def lead(client, line):
    user = person_create("lea", "lead", line=line.id)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return user


def page_of(line):
    return reverse("judges:judge", args=[line.id])


def try_of(line):
    return reverse("judges:try", args=[line.id])


def saved(line, url, **changes):
    LineJudge.objects.create(
        line=line.id, active=True, settings=judge_at(url, **changes).to_json(), saved_by="set-up"
    )


def test_a_lead_sets_a_judge_and_finds_it(client, line, lead):
    assert "No judge is set" in client.get(page_of(line)).content.decode()
    answer = client.post(page_of(line), FORM)
    assert answer.status_code == 302
    judge = LineJudge.objects.get(line=line.id)
    assert judge.active
    assert judge.judge_settings.chat_url == "https://judge.example.com/v1/chat/completions"
    assert (judge.judge_settings.max_tokens, judge.judge_settings.rubric) == (256, "Be kind.")
    page = client.get(page_of(line)).content.decode()
    assert "Asked in the next round" in page
    assert "none is sent" in page
    assert "Be kind." in page
    assert "from the line" in page
    event = AuditEvent.objects.get(verb="set the judge")
    assert event.detail == {"url": "https://judge.example.com/v1", "model": "wise-1"}
    client.post(page_of(line), {k: v for k, v in FORM.items() if k != "active"})
    assert not LineJudge.objects.get(line=line.id).active
    assert AuditEvent.objects.filter(verb="switched the judge off").exists()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"url": "judge.example.com"}, "Begin the address with https://"),
        ({"url": "https://judge.example.com/v1/chat/completions"}, "Leave /chat/completions out"),
        ({"url": "https://judge.example.com/v1?key=x"}, "Leave ? and what follows"),
        ({"url": "https://me:secret@judge.example.com/v1"}, "Leave user name, password"),
        ({"model": " "}, "This field is required"),
        ({"temperature": "3"}, "less than or equal to 2"),
        ({"attempts": "0"}, "greater than or equal to 1"),
        ({"max_pairs": "1.5"}, "Enter a whole number"),
        ({"seconds": "nan"}, "Enter a number"),
        ({"rubric": "x" * 20_001}, "at most 20000 characters"),
    ],
)
def test_a_wrong_setting_is_answered_beside_its_field(client, line, lead, changed, says):
    answer = client.post(page_of(line), {**FORM, **changed})
    assert says in answer.content.decode()
    assert not LineJudge.objects.exists()


def test_plain_http_is_refused_where_the_operator_does_not_allow_it(client, line, lead, settings):
    settings.OUTERLOOP_OUTGOING_HTTP = False
    answer = client.post(page_of(line), {**FORM, "url": "http://judge.example.com/v1"})
    assert "OUTERLOOP_OUTGOING_HTTP" in answer.content.decode()


def test_a_key_is_named_and_never_shown(client, line, lead, settings):
    settings.OUTERLOOP_JUDGE_KEYS = {"judge.example.com": "sk-hidden"}
    client.post(page_of(line), FORM)
    page = client.get(page_of(line)).content.decode()
    assert "operator" in page
    assert "sk-hidden" not in page
    assert "sk-hidden" not in str(LineJudge.objects.get().settings)
    assert "sk-hidden" not in str(list(AuditEvent.objects.values()))


def test_a_try_shows_both_questions_answers_and_what_is_read_from_them(client, line, lead):
    with scripted_judge() as judge:
        saved(line, judge.url)
        page = client.post(try_of(line), {**TEXTS, "ask": "1"}).content.decode()
    assert "In both orders the judge prefers the one text." in page
    assert "Read as: the text shown first is better." in page
    assert "Read as: the text shown second is better." in page
    assert "Be good." in page
    assert len(judge.asked) == 2
    assert not JudgeRun.objects.exists()
    assert not JudgeAnswer.objects.exists()


def test_what_would_be_asked_is_shown_without_asking(client, line, lead):
    with scripted_judge() as judge:
        saved(line, judge.url)
        page = client.post(try_of(line), TEXTS).content.decode()
    assert page.count("What is asked (user)") == 2
    assert "a good answer" in page
    assert judge.asked == []


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ({"opinion": always_a}, "changes with the order: the pair would count as a tie"),
        ({"opinion": rambling}, "No verdict can be read"),
        ({"statuses": [503, 503]}, "The judge answered 503"),
        ({"content": "<script>alert(1)</script>"}, "&lt;script&gt;"),
    ],
)
def test_a_try_of_a_poor_judge_says_so(client, line, lead, script, says):
    with scripted_judge(**script) as judge:
        saved(line, judge.url)
        assert says in client.post(try_of(line), {**TEXTS, "ask": "1"}).content.decode()


def test_a_try_needs_a_saved_judge_and_two_texts(client, line, lead):
    answer = client.post(try_of(line), TEXTS, follow=True)
    assert "Save a judge first" in answer.content.decode()
    saved(line, "https://judge.example.com/v1")
    page = client.post(try_of(line), {**TEXTS, "second": ""}).content.decode()
    assert "This field is required" in page


def test_engineers_read_the_page_without_its_forms(client, line):
    saved(line, "https://judge.example.com/v1")
    user = person_create("eve", "engineer", line=line.id)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(page_of(line)).content.decode()
    assert "wise-1" in page
    assert "Save the judge" not in page
    assert client.post(page_of(line), FORM).status_code == 403
    assert client.post(try_of(line), TEXTS).status_code == 403
