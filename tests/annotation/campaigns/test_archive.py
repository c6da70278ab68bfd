"""A campaign that is put away leaves lists and choices, keeps its answers, and can be taken back."""

from __future__ import annotations

import uuid

import pytest
from django.forms import ChoiceField
from django.test import Client

from annotation.accounts.forms import PersonForm
from annotation.campaigns.forms import line_choices
from annotation.campaigns.models import Campaign
from annotation.exchange.forms import ExportForm, ImportForm
from annotation.quality.selectors import label_summary
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.support import registry
from tests.support.people import person_create
from tests.support.programs import Program, refused
from web.models import AuditEvent
from web.registry import NamedLine

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)


@pytest.fixture
def eve():
    return person_create("eve", "engineer", line=LINE)


@pytest.fixture
def page(eve):
    client = Client()
    client.force_login(eve)
    return client


def test_only_a_closed_campaign_is_archived_and_an_archived_one_not_started(eve, page):
    campaign = a_campaign(line_id=LINE)
    address = f"/campaigns/{campaign.pk}/archive/"
    answer = page.post(address, follow=True)
    assert "close it before you archive it" in answer.content.decode()
    page.post(f"/campaigns/{campaign.pk}/state/", {"state": "closed"})
    assert address in page.get(f"/campaigns/{campaign.pk}/").content.decode()
    page.post(address)
    campaign.refresh_from_db()
    assert campaign.archived_at is not None
    answer = page.post(f"/campaigns/{campaign.pk}/state/", {"state": "active"}, follow=True)
    assert "take it back first" in answer.content.decode()
    page.post(address, {"archived": "no"})
    campaign.refresh_from_db()
    taken_back = Campaign.objects.get(pk=campaign.pk)
    assert (taken_back.archived_at, taken_back.state) == (None, "closed")
    verbs = list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == ["changed state", "archived campaign", "took back campaign"]


def test_an_archived_campaign_leaves_the_list_and_the_choices_and_keeps_its_labels(eve, page):
    shown = a_campaign(line_id=LINE, name="At work")
    old = a_campaign(line_id=LINE, name="Of last year")
    some_pairs(old, 1)
    label_next(an_annotator(old), old)
    Campaign.objects.filter(pk=old.pk).update(state="closed")
    before = label_summary(line_id=LINE).labels
    page.post(f"/campaigns/{old.pk}/archive/", follow=True)
    listed = page.get("/campaigns/").content.decode()
    assert ("At work" in listed, "Of last year" in listed) == (True, False)
    listed = page.get("/campaigns/?archived=1").content.decode()
    assert ("At work" in listed, "Of last year" in listed) == (False, True)
    for form, name in ((ImportForm(user=eve), "campaign"), (ExportForm(user=eve), "campaigns")):
        field = form.fields[name]
        assert isinstance(field, ChoiceField)
        values = {value for value, _ in field.choices}  # type: ignore[union-attr, misc]
        assert (str(shown.pk) in values, str(old.pk) in values) == (True, False)
    assert label_summary(line_id=LINE).labels == before == 1


def test_a_nameless_line_leaves_the_choices_with_its_last_campaign():
    chief = person_create("max", "lead")
    first, second = (a_campaign(line_id=OTHER_LINE, state="closed") for _ in range(2))
    assert [line for line, _ in line_choices(chief)] == [str(OTHER_LINE)]
    client = Client()
    client.force_login(chief)
    client.post(f"/campaigns/{first.pk}/archive/")
    assert [line for line, _ in line_choices(chief)] == [str(OTHER_LINE)]
    client.post(f"/campaigns/{second.pk}/archive/")
    assert line_choices(chief) == []


def test_an_archived_line_is_offered_nowhere_also_to_who_has_a_role_there(eve, monkeypatch):
    registry.named_lines(monkeypatch, desk=LINE)
    lea = person_create("lea", "lead", line=LINE)
    assert [name for _, name in line_choices(eve)] == ["desk"]
    assert [name for _, name in PersonForm(lead=lea).lines] == ["desk"]
    put_away = [NamedLine(LINE, "desk", archived=True)]
    monkeypatch.setattr("web.registry.line_names", lambda allowed=None: put_away)
    for module in ("annotation.accounts.forms", "annotation.campaigns.forms"):
        monkeypatch.setattr(f"{module}.line_names", lambda allowed=None: put_away)
    assert line_choices(eve) == []
    assert PersonForm(lead=lea).lines == []


def test_a_program_archives_and_lists_what_was_put_away(eve):
    program = Program(eve, "read", "campaigns")
    campaign = a_campaign(line_id=LINE)
    address = f"campaigns/{campaign.pk}/archive"
    assert "close it" in refused(program.post(address), 422)["detail"]
    program.post(f"campaigns/{campaign.pk}/state", {"state": "closed"})
    for _ in range(2):
        assert program.post(address).status_code == 200
    assert program.items("campaigns") == []
    assert [row["id"] for row in program.items("campaigns", archived="true")] == [str(campaign.pk)]
    program.post(address, {"archived": False})
    assert len(program.items("campaigns")) == 1
    assert AuditEvent.objects.filter(verb="archived campaign").count() == 1
