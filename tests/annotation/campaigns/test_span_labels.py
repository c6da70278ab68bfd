"""The labels of a campaign: read from a form, checked, kept while marks have them."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from annotation.campaigns.models import Campaign
from annotation.campaigns.span_labels import labels_checked, labels_read, labels_text
from annotation.comparisons.records import Span
from annotation.contracts import AnnotationError
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.support import registry
from tests.support.people import person_create
from tests.support.programs import a_program, refused
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=95)


def test_a_line_of_the_form_is_a_label_and_what_is_left_out_is_filled_in():
    read = labels_read("Wrong fact | amber | Not so | at all\n\n  Well put\r\nHarsh|RED")
    assert read == [
        {"key": "wrong-fact", "name": "Wrong fact", "colour": "amber", "help": "Not so | at all"},
        {"key": "well-put", "name": "Well put", "colour": "green", "help": ""},
        {"key": "harsh", "name": "Harsh", "colour": "red", "help": ""},
    ]
    assert labels_read(labels_text(read)) == read
    assert labels_read("") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Wrong | pink", "no colour 'pink' for 'Wrong'; use one of red, amber"),
        ("Wrong\nwrong", "Two labels are called 'wrong'"),
        ("!!!", "'!!!' needs a name with letters"),
        ("\n".join(f"Label {n}" for n in range(10)), "At most 9 labels"),
        ("x" * 61, "The name of the label"),
        ("Wrong | red | " + "x" * 201, "The help of the label 'Wrong'"),
    ],
)
def test_a_wrong_line_is_named(text, words):
    with pytest.raises(AnnotationError, match=words):
        labels_read(text)


def test_more_labels_than_colours_take_the_colours_again():
    found = labels_checked([{"name": f"Label {n}"} for n in range(8)])
    assert [one["colour"] for one in found][:7] == [
        "red", "amber", "green", "blue", "violet", "grey", "red",
    ]  # fmt: skip


@pytest.fixture
def eve():
    client = Client()
    client.force_login(person_create("eve", "engineer", line=LINE))
    return client


def test_a_lead_sets_them_in_the_form_and_reads_them_on_the_page(eve, monkeypatch):
    registry.named_lines(monkeypatch, desk=LINE)
    sent = {
        "name": "Desk", "line": str(LINE), "guidelines": "Be right.", "daily_goal": 4, "overlap": 1,
        "span_labels": "Wrong fact | red\nWell put",
    }  # fmt: skip
    made = eve.post("/campaigns/new/", sent, follow=True).content.decode()
    assert "Wrong fact, Well put" in made
    assert [label["key"] for label in Campaign.objects.get().span_labels] == [
        "wrong-fact",
        "well-put",
    ]
    wrong = eve.post("/campaigns/new/", {**sent, "span_labels": "A | pink"}).content.decode()
    assert "There is no colour" in wrong
    assert "A | pink" in wrong


def _settings(eve, campaign, labels):
    address = f"/campaigns/{campaign.pk}/settings/"
    form = eve.get(address).context["form"]
    said = {name: form[name].value() for name in form.fields}
    sent = {n: value for n, value in said.items() if value is not None and value is not False}
    return eve.post(address, {**sent, "span_labels": labels})


def test_settings_change_them_but_a_label_with_marks_stays(eve):
    campaign = a_campaign(line_id=LINE, span_labels=[{"name": "Wrong fact"}, {"name": "Harsh"}])
    some_pairs(campaign, 1)
    label_next(an_annotator(campaign), campaign, spans=(Span("left", 0, 2, "wrong-fact"),))
    refusal = _settings(eve, campaign, "Wrong | red").content.decode()
    assert "Parts are marked with wrong-fact already" in refusal
    assert _settings(eve, campaign, "Wrong fact | blue | So.\r\nNew").status_code == 302
    campaign.refresh_from_db()
    assert [(one["key"], one["colour"]) for one in campaign.span_labels] == [
        ("wrong-fact", "blue"),
        ("new", "red"),
    ]
    assert "span_labels" in AuditEvent.objects.get(verb="changed campaign").detail


def test_settings_that_leave_them_record_no_change(eve):
    campaign = a_campaign(line_id=LINE, span_labels=[{"name": "A"}, {"name": "B"}])
    assert _settings(eve, campaign, "A | red\r\nB | amber").status_code == 302
    assert not AuditEvent.objects.filter(verb="changed campaign").exists()


def test_a_program_makes_and_reads_them():
    program = a_program("engineer", "read", "campaigns", line=LINE)
    body = {"line": str(LINE), "name": "Tone", "span_labels": [{"name": "Wrong fact"}]}
    made = program.post("campaigns", body).json()
    assert made["span_labels"] == [
        {"key": "wrong-fact", "name": "Wrong fact", "colour": "red", "help": ""}
    ]
    twice = {**body, "name": "Twice", "span_labels": [{"name": "A"}, {"name": "a"}]}
    assert "Two labels are called" in refused(program.post("campaigns", twice), 422)["detail"]
