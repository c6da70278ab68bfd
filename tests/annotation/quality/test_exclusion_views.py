"""The pages on which a lead leaves answers out, sees first what that changes, and takes them in again."""

from __future__ import annotations

import pytest
from django.test import Client

from annotation.comparisons.models import Exclusion
from annotation.quality.services import exclusion_drawn, exclusion_make
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.support.people import person_create

pytestmark = pytest.mark.django_db


def signed_in(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def campaign():
    return a_campaign(name="Help desk")


@pytest.fixture
def lea(campaign):
    return person_create("lea", "lead", line=campaign.line)


@pytest.fixture
def rater(campaign):
    some_pairs(campaign, 3, split="train")
    rater = an_annotator(campaign)
    for _ in range(2):
        label_next(rater, campaign)
    return rater


def asked(rater, **more):
    return {"rater": str(rater.pk), "reason": "Always presses 1.", **more}


def test_a_person_is_previewed_left_out_and_taken_in_again(campaign, lea, rater):
    lead = signed_in(lea)
    place = f"/campaigns/{campaign.pk}/left-out/"
    assert "Nothing is left out" in lead.get(place).content.decode()
    preview = lead.get(place + "new/", asked(rater)).content.decode()
    assert "2 answers would no longer count." in preview
    assert "2 places in the queue open" in preview
    assert not Exclusion.objects.exists()

    page = lead.post(place + "new/", asked(rater), follow=True).content.decode()
    exclusion = Exclusion.objects.get()
    assert f"Answers of {rater.user} in Help desk" in page
    assert "Always presses 1." in page
    assert "lea," in page
    assert "excluded" in lead.get(f"/campaigns/{campaign.pk}/").content.decode()

    back = f"{place}{exclusion.pk}/"
    assert "2 answers would count again." in lead.get(back).content.decode()
    assert "counts again" in lead.post(back, follow=True).content.decode()
    assert Exclusion.objects.get().lifted_by == str(lea.pk)
    assert "count again already" in lead.post(back, follow=True).content.decode()
    assert lead.get(back).status_code == 302
    assert "excluded" not in lead.get(f"/campaigns/{campaign.pk}/").content.decode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rater": ""}, "Name a person, a version of the guidelines or a span of time."),
        ({"reason": ""}, "This field is required."),
        ({"rater": "somebody"}, "Select a valid choice"),
        ({"since": "2026-03-01T10:00"}, "give both"),
        ({"since": "yesterday", "until": "2026-03-01T10:00"}, "Enter a valid date/time."),
        ({"guideline_version": "7"}, "Select a valid choice"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_cannot_be_left_out_is_said_and_nothing_happens(
    campaign, lea, rater, change, says, method
):
    send = getattr(signed_in(lea), method)
    page = send(f"/campaigns/{campaign.pk}/left-out/new/", asked(rater) | change)
    assert page.status_code == 200
    assert says in page.content.decode()
    assert not Exclusion.objects.exists()


def test_a_link_with_a_person_fills_the_form_and_asks_nothing_yet(campaign, lea, rater):
    page = signed_in(lea).get(f"/campaigns/{campaign.pk}/left-out/new/", {"rater": str(rater.pk)})
    assert f'<option value="{rater.pk}" selected>' in page.content.decode()
    assert "would no longer count" not in page.content.decode()


def test_what_belongs_to_another_campaign_is_not_lifted_from_this_one(campaign, lea, rater):
    drawn = exclusion_drawn(campaign=campaign, rater=rater)
    exclusion = exclusion_make(exclusion=drawn, reason="r", actor=lea)
    other = a_campaign()
    leo = person_create("leo", "lead", line=other.line)
    assert signed_in(leo).post(f"/campaigns/{other.pk}/left-out/{exclusion.pk}/").status_code == 404
    assert Exclusion.objects.get().lifted_at is None


def test_the_home_page_of_who_is_left_out_still_opens(campaign, lea, rater):
    exclusion_make(exclusion=exclusion_drawn(campaign=campaign, rater=rater), reason="r", actor=lea)
    client = signed_in(rater.user)
    assert "Your lead has paused your work here" in client.get("/").content.decode()
    says = client.post(
        f"/compare/{campaign.pk}/next/", "{}", content_type="application/json"
    ).json()
    assert says["items"] == []
    assert "Your lead has paused your work" in says["says"]
