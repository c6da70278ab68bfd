"""Questions about a pair: asked by who has it, answered by a lead, in one thread."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from annotation.accounts.erasure import person_erase
from annotation.comparisons.models import Assignment, ThreadMessage
from annotation.comparisons.services import assignment_skip, gate_queue_close, thread_write
from annotation.contracts import AnnotationError
from tests.annotation.factories import a_campaign, an_annotator, lease, some_pairs
from tests.support.people import person_create
from web.models import AuditEvent, Notice

pytestmark = pytest.mark.django_db


def signed_in(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def campaign():
    campaign = a_campaign(name="Help desk")
    some_pairs(campaign, 2, split="train")
    return campaign


@pytest.fixture
def lea(campaign):
    return person_create("lea", "lead", line=campaign.line)


def held_by(rater, campaign):
    return Assignment.objects.get(pk=lease(rater, campaign).assignment_id)


def test_a_question_reaches_the_leads_and_its_answer_who_asked(campaign, lea):
    rater = an_annotator(campaign)
    held = held_by(rater, campaign)
    ann, lead = signed_in(rater.user), signed_in(lea)
    item = ann.post(f"/compare/{campaign.pk}/next/", "{}", content_type="application/json").json()[
        "items"
    ][0]
    place = item["urls"]["ask"]
    assert place == f"/ask/{held.pk}/"
    texts = {s.position: s.completion.text for s in held.comparison.slots.all()}
    page = ann.get(place).content.decode()
    assert page.index(texts[held.shown_order[0]]) < page.index(texts[held.shown_order[1]])
    assert "This field is required." in ann.post(place, {"text": ""}).content.decode()
    asked = ann.post(place, {"text": "Does a joke count?"}, follow=True).content.decode()
    assert "Does a joke count?" in asked

    notice = Notice.objects.get(user=lea)
    assert "1 question about a pair waits" in lead.get("/").content.decode()
    listed = lead.get(f"/campaigns/{campaign.pk}/questions/").content.decode()
    assert "waits for an answer" in listed
    assert str(rater.user) in listed
    thread = lead.get(notice.url).content.decode()
    assert ("the other way round" in thread) == (held.shown_order != [1, 2])
    lead.post(notice.url, {"text": "Only a good one."})
    assert "waits for an answer" not in lead.get("/").content.decode()
    told = Notice.objects.get(user=rater.user)
    assert told.url == place
    assert "Only a good one." in ann.get(told.url).content.decode()
    assert AuditEvent.objects.filter(verb="answered question").count() == 1

    ann.post(place, {"text": "And a bad one?"})
    assert Notice.objects.filter(user=lea).count() == 2
    said = ThreadMessage.objects.values_list("by_rater", "text")
    assert list(said) == [
        (True, "Does a joke count?"),
        (False, "Only a good one."),
        (True, "And a bad one?"),
    ]


def test_nobody_asks_about_or_reads_of_a_pair_that_is_another_s(campaign):
    held = held_by(an_annotator(campaign), campaign)
    other = signed_in(an_annotator(campaign).user)
    assert other.get(f"/ask/{held.pk}/").status_code == 404
    assert other.post(f"/ask/{held.pk}/", {"text": "Hm?"}).status_code == 404
    assert not ThreadMessage.objects.exists()


def test_a_lead_answers_only_what_was_asked_in_the_own_campaign(campaign, lea):
    held = held_by(an_annotator(campaign), campaign)
    lead = signed_in(lea)
    address = f"/campaigns/{campaign.pk}/questions/{held.pk}/"
    assert lead.post(address, {"text": "Hello."}).status_code == 404
    with pytest.raises(AnnotationError, match="Nobody has asked"):
        thread_write(assignment=held, text="Hello.", by_rater=False)
    with pytest.raises(AnnotationError, match="at most 2000"):
        thread_write(assignment=held, text="x" * 2001, by_rater=True)
    thread_write(assignment=held, text="Hm?", by_rater=True)
    elsewhere = a_campaign(line_id=campaign.line)
    assert lead.get(f"/campaigns/{elsewhere.pk}/questions/{held.pk}/").status_code == 404
    assert lead.get(address).status_code == 200


def test_the_pair_of_an_undecided_gate_stays_hidden_from_who_answers():
    campaign = a_campaign(gate_share=1.0)
    round_id = uuid.uuid4()
    some_pairs(campaign, 1, purpose="gate", round_id=round_id, split="evaluation")
    held = held_by(an_annotator(campaign), campaign)
    thread_write(assignment=held, text="Hm?", by_rater=True)
    lead = signed_in(person_create("lea", "lead", line=campaign.line))
    address = f"/campaigns/{campaign.pk}/questions/{held.pk}/"
    hidden = lead.get(address).content.decode()
    assert "first answer" not in hidden
    assert "stay hidden until the gate has decided" in hidden
    gate_queue_close(round_id=round_id)
    assert "first answer" in lead.get(address).content.decode()


def test_the_answer_is_read_after_a_skip_too_without_the_pair(campaign):
    rater = an_annotator(campaign)
    held = held_by(rater, campaign)
    thread_write(assignment=held, text="Hm?", by_rater=True)
    assignment_skip(rater=rater, assignment_id=held.pk, reason="technical")
    thread_write(assignment=held, text="Skip it.", by_rater=False)
    page = signed_in(rater.user).get(f"/ask/{held.pk}/").content.decode()
    assert "Skip it." in page
    assert "first answer" not in page


def test_what_an_erased_person_asked_goes_where_their_reasons_go(campaign, lea):
    kept, gone = an_annotator(campaign), an_annotator(campaign)
    for rater, reasons in ((kept, "keep"), (gone, "remove")):
        thread_write(assignment=held_by(rater, campaign), text="I am Ann.", by_rater=True)
        assert rater.user is not None
        person_erase(person=rater.user, actor=lea, reasons=reasons)
    said = ThreadMessage.objects.values_list("assignment__rater", "text")
    assert dict(said) == {kept.pk: "I am Ann.", gone.pk: ""}
    assert signed_in(lea).get(f"/campaigns/{campaign.pk}/questions/").status_code == 200
