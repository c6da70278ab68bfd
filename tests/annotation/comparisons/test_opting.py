"""Sensitive content is shown to those alone who agreed to its warning, and no longer than they want it."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from annotation.campaigns.models import SensitiveOptIn
from annotation.campaigns.services import sensitive_opt_in
from annotation.comparisons.models import Assignment, Comparison, Judgment
from annotation.comparisons.records import Answer, OptInMissing
from annotation.comparisons.services import queue_lease, queue_lease_next, sensitive_opt_out
from annotation.comparisons.services.simulating import labels_simulate
from annotation.contracts import AnnotationError
from tests.annotation.factories import a_campaign, an_annotator, some_pairs, submit
from tests.support.people import person_create
from tests.support.programs import a_program, refused

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=94)
WARNING = "Threats and insults.\nSome describe self-harm."


@pytest.fixture
def campaign():
    made = a_campaign(line_id=LINE, sensitive_warning=WARNING)
    some_pairs(made, 4)
    return made


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_nothing_is_handed_out_before_the_warning_in_force_was_agreed_to(campaign):
    ann = an_annotator(campaign)
    with pytest.raises(OptInMissing, match="agree to it first"):
        queue_lease_next(rater=ann, campaign=campaign)
    with pytest.raises(AnnotationError, match="reads otherwise by now"):
        sensitive_opt_in(rater=ann, campaign=campaign, warning="Nothing much.")
    sensitive_opt_in(rater=ann, campaign=campaign, warning=WARNING.replace("\n", "\r\n"))
    assert queue_lease_next(rater=ann, campaign=campaign)
    campaign.sensitive_warning = "Pictures of wounds, in words."
    campaign.save()
    with pytest.raises(OptInMissing):
        queue_lease_next(rater=ann, campaign=campaign)
    sensitive_opt_in(rater=ann, campaign=campaign, warning=campaign.sensitive_warning)
    assert SensitiveOptIn.objects.count() == 1
    assert queue_lease_next(rater=ann, campaign=campaign)


def test_a_campaign_without_a_warning_asks_nobody(campaign):
    campaign.sensitive_warning = ""
    campaign.save()
    ann = an_annotator(campaign)
    with pytest.raises(AnnotationError, match="has no warning"):
        sensitive_opt_in(rater=ann, campaign=campaign, warning="")
    assert queue_lease_next(rater=ann, campaign=campaign)


def test_simulated_people_agree_by_themselves(campaign):
    def judge(name, shown):
        return Answer(values={"overall": 2})

    done = labels_simulate(
        campaign_ids=[campaign.pk], names=["sim"], wanted=4, judge=judge, report=lambda n: None
    )
    assert (done, SensitiveOptIn.objects.get().warning) == (4, WARNING)


def test_who_changes_their_mind_gives_back_what_they_hold_and_keeps_what_they_said(campaign):
    ann = an_annotator(campaign)
    sensitive_opt_in(rater=ann, campaign=campaign, warning=WARNING)
    first, *_ = queue_lease(rater=ann, campaign=campaign, count=2)
    submit(ann, first.assignment_id)
    sensitive_opt_out(rater=ann, campaign=campaign)
    assert not Comparison.objects.filter(leased__gt=0).exists()
    states = Assignment.objects.values_list("state", flat=True)
    assert sorted(states) == ["expired", "submitted"]
    assert Judgment.objects.filter(active=True).count() == 1
    with pytest.raises(OptInMissing):
        queue_lease_next(rater=ann, campaign=campaign)


def test_the_pages_lead_to_the_warning_and_out_again(campaign):
    ann = client_of(person_create("ann", "annotator", line=LINE))
    compare, warning = f"/compare/{campaign.pk}/", f"/compare/{campaign.pk}/warning/"
    for address in (compare, f"/qualify/{campaign.pk}/"):
        answer = ann.get(address)
        assert (answer.status_code, answer["Location"]) == (302, warning)
    answer = ann.post(f"{compare}next/", {"held": [], "count": 1}, content_type="application/json")
    assert answer.json()["items"] == []
    assert "Read its warning" in answer.json()["says"]
    page = ann.get(warning).content.decode()
    assert "Some describe self-harm." in page
    assert "I agree to see this" in page
    stale = ann.post(warning, {"warning": "Threats."}, follow=True).content.decode()
    assert "reads otherwise by now" in stale
    assert ann.post(warning, {"warning": WARNING})["Location"] == compare
    assert ann.get(compare).status_code == 200
    lead = client_of(person_create("lea", "lead", line=LINE))
    assert (
        "1 person has agreed to see it" in lead.get(f"/campaigns/{campaign.pk}/").content.decode()
    )
    assert f"/compare/{campaign.pk}/opt-out/" in ann.get("/my-work/").content.decode()
    assert ann.post(f"{compare}opt-out/")["Location"] == "/"
    assert ann.get(compare)["Location"] == warning
    assert f"/compare/{campaign.pk}/opt-out/" not in ann.get("/my-work/").content.decode()
    assert "0 people have agreed" in lead.get(f"/campaigns/{campaign.pk}/").content.decode()


def test_a_program_agrees_by_sending_the_warning_back(campaign):
    ann = a_program("annotator", "label", line=LINE, name="ann")
    door = f"labelling/{campaign.pk}/warning"
    assert "agree" in refused(ann.post(f"labelling/{campaign.pk}/next"), 409)["detail"]
    assert ann.get(door).json() == {"text": WARNING, "agreed": False}
    assert "reads otherwise" in refused(ann.post(door, {"text": "Threats."}), 422)["detail"]
    assert ann.post(door, {"text": WARNING}).json() == {"done": True}
    assert ann.get(door).json()["agreed"]
    assert ann.post(f"labelling/{campaign.pk}/next").json()["pair"]
    assert ann.client.delete(f"/api/v1/{door}").json() == {"done": True}
    refused(ann.post(f"labelling/{campaign.pk}/next"), 409)
    plain = a_campaign(line_id=LINE)
    assert ann.get(f"labelling/{plain.pk}/warning").json() == {"text": "", "agreed": True}
    assert (
        "no warning"
        in refused(ann.post(f"labelling/{plain.pk}/warning", {"text": "x"}), 422)["detail"]
    )
