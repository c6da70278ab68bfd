"""Answers sent back with a word and given again; pairs released from who holds them."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from annotation import facade
from annotation.comparisons.models import AnswerReturn, Assignment, Judgment
from annotation.comparisons.services import (
    answer_send_back,
    gold_item_of_pair,
    judgment_undo,
    lease_release,
    queue_lease_next,
)
from annotation.contracts import AnnotationError, SnapshotRecipe
from tests.annotation.factories import (
    a_campaign,
    a_simulation,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)
from tests.support.people import person_create
from web.models import AuditEvent, Notice

pytestmark = pytest.mark.django_db


def signed_in(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def campaign():
    campaign = a_campaign(name="Help desk", criteria=[("honest", "Honest")])
    some_pairs(campaign, 3, split="train")
    return campaign


@pytest.fixture
def lea(campaign):
    return person_create("lea", "lead", line=campaign.line)


def answered(rater, campaign, value=2, **more):
    outcome = label_next(rater, campaign, value, **more)
    return Judgment.objects.get(pk=outcome.judgment_id)


def back(judgment, note="Read the second to its end."):
    return answer_send_back(judgment=judgment, note=note)


def test_an_answer_goes_back_with_a_word_and_the_new_one_supersedes_it(campaign, lea):
    rater = an_annotator(campaign)
    judgment = answered(
        rater, campaign, 2, rationale="Short.", flags=("refusal:left",), reasons=("brief",)
    )
    pair = judgment.assignment.comparison_id
    lead, ann = signed_in(lea), signed_in(rater.user)
    address = f"/campaigns/{campaign.pk}/pairs/{pair}/"
    assert "Send back" in lead.get(address).content.decode()
    sent = f"{address}answers/{judgment.pk}/send-back/"
    assert "This field is required." in lead.post(sent, {"note": ""}).content.decode()
    page = lead.post(sent, {"note": "Read the second to its end."}, follow=True).content.decode()
    assert "sent back" in page
    row = AnswerReturn.objects.get()
    assert Notice.objects.get(user=rater.user).url == f"/returned/{row.pk}/"
    assert "came back with a word" in ann.get("/").content.decode()

    shown = ann.get(f"/returned/{row.pk}/").content.decode()
    for said in ("Read the second to its end.", "Short.", "A is better", "Honest"):
        assert said in shown
    body = {"overall": "6", "criterion-honest": "3", "rationale": "It ends well."}
    ann.post(f"/returned/{row.pk}/", body)
    new = judgment.assignment.judgments.get(active=True)
    assert (new.revision, new.rationale) == (2, "It ends well.")
    order = judgment.assignment.shown_order
    stored = dict(new.values.values_list("criterion__key", "value"))
    expected = {"overall": 6, "honest": 3}
    assert stored == (expected if order == [1, 2] else {k: 8 - v for k, v in expected.items()})
    assert (new.flags, new.reasons) == (judgment.flags, ["brief"])
    assert "came back with a word" not in ann.get("/").content.decode()
    again = ann.post(f"/returned/{row.pk}/", body, follow=True).content.decode()
    assert "answered this pair again already" in again
    assert judgment.assignment.judgments.count() == 2
    assert AuditEvent.objects.filter(verb="sent answer back").count() == 1


def test_it_counts_until_it_is_given_again_and_an_undo_ends_the_wait(campaign):
    rater = an_annotator(campaign)
    judgment = answered(rater, campaign)
    back(judgment)
    rows = list(facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe()))
    assert [row.id for row in rows] == [str(judgment.pk)]
    judgment_undo(rater=rater, assignment_id=judgment.assignment_id)
    assert "came back with a word" not in signed_in(rater.user).get("/").content.decode()


def test_what_cannot_go_back_is_said(campaign):
    rater = an_annotator(campaign)
    judgment = answered(rater, campaign)
    with pytest.raises(AnnotationError, match="Say in at most"):
        back(judgment, " ")
    back(judgment)
    with pytest.raises(AnnotationError, match="sent back already"):
        back(judgment)
    judgment_undo(rater=rater, assignment_id=judgment.assignment_id)
    with pytest.raises(AnnotationError, match="no longer in force"):
        back(judgment)
    with pytest.raises(AnnotationError, match="Nobody with an account"):
        back(answered(a_simulation(), campaign))
    gate = a_campaign(gate_share=1.0)
    some_pairs(gate, 1, purpose="gate", round_id=uuid.uuid4(), split="evaluation")
    with pytest.raises(AnnotationError, match="Only answers to training pairs"):
        back(answered(an_annotator(gate), gate))
    gold = a_campaign(gold_share=1.0)
    (pair,) = some_pairs(gold, 1, split="train")
    gold_item_of_pair(comparison=pair, gold_value=1)
    with pytest.raises(AnnotationError, match="Only answers to training pairs"):
        back(answered(an_annotator(gold), gold))


def test_nobody_sees_what_came_back_to_another(campaign):
    row = back(answered(an_annotator(campaign), campaign))
    other = signed_in(an_annotator(campaign).user)
    assert other.get(f"/returned/{row.pk}/").status_code == 404
    assert other.post(f"/returned/{row.pk}/", {"overall": "1"}).status_code == 404


def test_a_half_given_answer_is_said_beside_its_field(campaign):
    rater = an_annotator(campaign)
    row = back(answered(rater, campaign))
    page = signed_in(rater.user).post(f"/returned/{row.pk}/", {"rationale": "Hm."})
    assert "This field is required." in page.content.decode()
    assert "Hm." in page.content.decode()
    assert row.judgment.assignment.judgments.count() == 1


def test_a_held_pair_is_released_to_somebody_else_and_its_draft_kept(campaign, lea):
    holder, other = an_annotator(campaign), an_annotator(campaign)
    for _ in range(2):
        label_next(other, campaign)
    held = lease(holder, campaign)
    Assignment.objects.filter(pk=held.assignment_id).update(draft={"rationale": "Half"})
    assert queue_lease_next(rater=other, campaign=campaign) is None
    lead = signed_in(lea)
    page = lead.get(f"/campaigns/{campaign.pk}/held/").content.decode()
    assert str(holder.user) in page
    assert (
        f"/campaigns/{campaign.pk}/held/" in lead.get(f"/campaigns/{campaign.pk}/").content.decode()
    )
    address = f"/campaigns/{campaign.pk}/held/{held.assignment_id}/release/"
    assert "free for somebody else" in lead.post(address, follow=True).content.decode()
    assert Assignment.objects.get(pk=held.assignment_id).draft == {"rationale": "Half"}
    assert queue_lease_next(rater=other, campaign=campaign) is not None
    assert submit(holder, held.assignment_id).surplus
    assert "Nobody holds this pair any more" in lead.post(address, follow=True).content.decode()
    assert AuditEvent.objects.filter(verb="released pair").count() == 1


def test_an_answer_that_was_given_is_not_released(campaign):
    judgment = answered(an_annotator(campaign), campaign)
    with pytest.raises(AnnotationError, match="Nobody holds"):
        lease_release(assignment=judgment.assignment)
    assert Assignment.objects.get(pk=judgment.assignment_id).state == "submitted"
