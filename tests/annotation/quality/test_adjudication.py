"""An adjudicator settles what people disagree on; the answer is the pair's label until it is taken back."""

from __future__ import annotations

import json
import uuid

import pytest
from django.test import Client

from annotation import facade
from annotation.accounts.services import rater_for
from annotation.comparisons.models import Adjudication, Assignment, Comparison, Judgment, Prompt
from annotation.comparisons.records import NotYours
from annotation.comparisons.selectors import comparison_for, last_settled, progress_for
from annotation.comparisons.services import (
    gold_item_of_pair,
    judgment_undo,
    pair_settle,
    pair_unsettle,
)
from annotation.contracts import AnnotationError, SnapshotRecipe
from annotation.exchange import services as exchange
from annotation.exchange.storing import tables_analyze
from annotation.quality.disagreements import disagreements
from annotation.quality.services import exclusion_drawn, exclusion_make
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    submit,
)
from tests.support.people import person_create
from web.models import AuditEvent

pytestmark = pytest.mark.django_db


def judged(campaign, *votes, split="train"):
    """A pair of the campaign with these votes, in slot order, each of another person."""
    (pair,) = some_pairs(campaign, 1, split=split)
    for value in votes:
        rater = an_annotator(campaign)
        held = lease(rater, campaign)
        order = Assignment.objects.get(pk=held.assignment_id).shown_order
        submit(rater, held.assignment_id, value if order == [1, 2] else 8 - value)
    return pair


def adjudicator(campaign, name="ada"):
    return person_create(name, "adjudicator", line=campaign.line)


def signed_in(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def labels(campaign):
    rows = facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe())
    return sorted(row.strength for row in rows)


def divided(tmp_path, line, number, votes):
    """A campaign with so many pairs as an import brings them, each with votes of its own kind."""
    rows = [
        {
            "prompt": f'Which of "{n}"?',
            "completions": ["a", "b"],
            "votes": [{"rater": f"r{place}", "value": v} for place, v in enumerate(votes(n))],
        }
        for n in range(number)
    ]
    path = tmp_path / "votes.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    job = exchange.import_run(job_id=exchange.import_create(line_id=line, path=path).pk)
    assert job is not None
    return job.campaign


def test_many_disagreements_have_pages_by_key_and_a_search(tmp_path):
    line = uuid.uuid4()
    campaign = divided(tmp_path, line, 140, lambda n: (1, 7) if n % 3 else (1, 2, 6))
    tables_analyze()  # as a larger import does
    waiting = disagreements(campaign=campaign)
    assert waiting.count() > 100  # of evaluation prompts there are none
    lead = signed_in(person_create("lea", "lead", line=line))
    place, link = f"/campaigns/{campaign.pk}/disagreements/", "?"
    seen, gaps = [], []
    while link:
        page = lead.get(place + link)
        seen += [row["pair"] for row in page.context["page"].rows]
        gaps += [row["gap"] for row in page.context["page"].rows]
        link = page.context["page"].older_query
    assert seen == [row["pair"] for row in waiting]
    assert gaps == sorted(gaps)
    assert set(gaps) == {0, 1}
    back = lead.get(place + page.context["page"].newer_query).context["page"]
    assert [row["pair"] for row in back.rows] == seen[-len(page.context["page"].rows) - 50 :][:50]
    (found,) = lead.get(place, {"prompt": 'OF "17"'}).context["rows"]
    assert found.prompt == 'Which of "17"?'
    assert "No pair fits this search" in lead.get(place, {"prompt": "100%"}).content.decode()


def test_only_sides_count_as_disagreement_and_the_most_divided_come_first():
    campaign = a_campaign(overlap=4, adjudication_share=0.25)
    judged(campaign, 1, 2, 3, 3)  # one side, whatever the strength
    judged(campaign, 1, 4, 4, 4)  # ties prefer nobody
    third = judged(campaign, 1, 2, 3, 6)
    second = judged(campaign, 1, 4, 4, 7)
    first = judged(campaign, 1, 2, 6, 7)
    rows = [
        (r["pair"], r["first"], r["ties"], r["second"]) for r in disagreements(campaign=campaign)
    ]
    assert rows == [(first.pk, 2, 0, 2), (second.pk, 1, 2, 1), (third.pk, 3, 0, 1)]
    campaign.adjudication_share = 0.3  # one of four is less
    assert [r["pair"] for r in disagreements(campaign=campaign)] == [first.pk, second.pk]


def test_pairs_that_wait_for_votes_or_are_kept_for_judging_are_no_question_for_an_adjudicator():
    campaign = a_campaign(overlap=3)
    judged(campaign, 1, 7)
    other = a_campaign(overlap=2)
    kept = judged(other, 1, 7)  # as rounds of earlier releases made them
    Prompt.objects.filter(pk=kept.prompt_id).update(split="evaluation")
    assert not disagreements(campaign=campaign).exists()
    assert not disagreements(campaign=other).exists()


def test_a_vote_that_is_left_out_disagrees_with_nobody():
    campaign = a_campaign(overlap=2)
    pair = judged(campaign, 1, 7)
    odd = pair.assignments.get(judgments__values__value=7).rater
    Comparison.objects.update(closed_at="2026-01-01T00:00Z")  # so that nobody is asked in its place
    lead = person_create("lea", "lead")
    drawn = exclusion_drawn(campaign=campaign, rater=odd)
    exclusion_make(exclusion=drawn, reason="r", actor=lead)
    assert not disagreements(campaign=campaign).exists()


def test_the_settled_answer_trains_in_place_of_the_votes_until_it_is_taken_back():
    campaign = a_campaign(overlap=2)
    pair = judged(campaign, 2, 6)
    judged(campaign, 3, 3)
    assert labels(campaign) == [2, 3, 3, 6]
    before = facade.label_summary(line_id=campaign.line)
    votes = facade.overlap_votes(line_id=campaign.line)
    rater = rater_for(user=adjudicator(campaign))
    settled = pair_settle(rater=rater, comparison=pair, value=1, reason="The first is right.")
    assert labels(campaign) == [1, 3, 3]
    assert facade.fresh_label_count(line_id=campaign.line, since=None) == 3
    assert facade.label_summary(line_id=campaign.line) == before
    assert facade.overlap_votes(line_id=campaign.line) == votes
    assert not disagreements(campaign=campaign).exists()
    pair_unsettle(adjudication=settled, actor="lead")
    assert labels(campaign) == [2, 3, 3, 6]
    again = pair_settle(rater=rater, comparison=pair, value=7, reason="No, the second.")
    assert labels(campaign) == [3, 3, 7]
    assert again.judgment.revision == 2
    assert Judgment.objects.filter(assignment__state="submitted", active=True).count() == 4


def test_an_adjudicator_who_is_left_out_settles_nothing():
    campaign = a_campaign(overlap=2)
    pair = judged(campaign, 2, 6)
    rater = rater_for(user=adjudicator(campaign))
    pair_settle(rater=rater, comparison=pair, value=1, reason="The first is right.")
    drawn = exclusion_drawn(campaign=campaign, rater=rater)
    exclusion_make(exclusion=drawn, reason="r", actor=person_create("lea", "lead"))
    assert labels(campaign) == [2, 6]
    assert disagreements(campaign=campaign).exists()


def test_who_answered_a_pair_does_not_settle_it():
    campaign = a_campaign(overlap=2)
    pair = judged(campaign, 2, 6)
    voter = pair.assignments.first().rater
    with pytest.raises(AnnotationError, match="another adjudicator settles it"):
        pair_settle(rater=voter, comparison=pair, value=1, reason="Mine is right.")
    assert not disagreements(campaign=campaign, rater=voter).exists()
    assert disagreements(campaign=campaign).exists()


def test_what_cannot_be_settled_is_said():
    campaign = a_campaign(overlap=2)
    pair = judged(campaign, 2, 6)
    rater = rater_for(user=adjudicator(campaign))
    with pytest.raises(AnnotationError, match="Say why"):
        pair_settle(rater=rater, comparison=pair, value=1, reason=" ")
    pair_settle(rater=rater, comparison=pair, value=1, reason="r")
    with pytest.raises(AnnotationError, match="settled meanwhile"):
        pair_settle(rater=rater, comparison=pair, value=1, reason="r")
    settled = Adjudication.objects.get()
    pair_unsettle(adjudication=settled, actor="lead")
    with pytest.raises(AnnotationError, match="count again already"):
        pair_unsettle(adjudication=settled, actor="lead")
    (gate,) = some_pairs(campaign, 1, purpose="gate", round_id=uuid.uuid4())
    with pytest.raises(AnnotationError, match="Only training pairs"):
        pair_settle(rater=rater, comparison=gate, value=1, reason="r")


def test_the_compare_page_neither_shows_counts_nor_undoes_what_was_settled():
    campaign = a_campaign(overlap=2)
    pair = judged(campaign, 2, 6)
    user = adjudicator(campaign)
    rater = rater_for(user=user)
    settled = pair_settle(rater=rater, comparison=pair, value=1, reason="r")
    place = settled.judgment.assignment_id
    for door in (comparison_for, judgment_undo):
        with pytest.raises(NotYours):
            door(rater=rater, assignment_id=place)
    assert last_settled(rater=rater, campaign=campaign, skips=True) is None
    assert progress_for(rater=rater, campaign=campaign).today == 0
    body = json.dumps({"answer": {}, "values": {"overall": 3}, "key": "k", "reason": "technical"})
    for name in ("draft", "submit", "revise", "skip", "park"):
        address = f"/compare/{campaign.pk}/{place}/{name}/"
        answer = signed_in(user).post(address, body, content_type="application/json")
        assert answer.status_code == 404
    assert labels(campaign) == [1]


def test_an_adjudicator_finds_the_pair_on_the_home_page_settles_it_and_takes_it_back():
    campaign = a_campaign(overlap=2, name="Help desk")
    pairs = [judged(campaign, 2, 6, split="train") for _ in "12"]
    voter = str(pairs[0].assignments.first().rater.user)
    ada = signed_in(adjudicator(campaign))
    assert "People disagree on 2 pairs." in ada.get("/").content.decode()
    listed = ada.get(f"/campaigns/{campaign.pk}/disagreements/").content.decode()
    assert all(str(pair.pk) in listed for pair in pairs)
    address = f"/campaigns/{campaign.pk}/pairs/{pairs[0].pk}/"
    page = ada.get(address + "settle/").content.decode()
    assert "A is better" in page
    assert "B is better" in page
    assert voter not in page
    assert ada.get(address).status_code == 403  # the page with names is for those who lead
    missing = ada.post(address + "settle/", {"value": "2"}).content.decode()
    assert "This field is required." in missing
    done = ada.post(address + "settle/", {"value": "2", "reason": "It is shorter."})
    assert done.headers["Location"] == f"/campaigns/{campaign.pk}/pairs/{pairs[1].pk}/settle/"
    lead = signed_in(person_create("lea", "lead", line=campaign.line))
    seen = lead.get(address).content.decode()
    assert "Settled by ada: A is better" in seen
    assert "It is shorter." in seen
    assert voter in seen
    back = ada.post(address + "unsettle/", follow=True).content.decode()
    assert "its labels again" in back
    verbs = AuditEvent.objects.order_by("at").values_list("verb", flat=True)
    assert list(verbs) == ["settled pair", "unsettled pair"]


def test_votes_are_shown_of_the_pairs_alone_that_wait_to_be_settled():
    campaign = a_campaign(overlap=2, gold_share=1.0)
    agreed = judged(campaign, 2, 3)
    known = gold_item_of_pair(comparison=agreed, gold_value=1)
    rater = an_annotator(campaign)
    label_next(rater, campaign, 6, rationale="Only mine.")
    (half,) = some_pairs(campaign, 1)
    mine = judged(campaign, 2, 6)
    user = adjudicator(campaign)
    pair_settle(rater=rater_for(user=user), comparison=mine, value=1, reason="r")
    ada = signed_in(user)
    for pair in (agreed, known, half, mine):
        address = f"/campaigns/{campaign.pk}/pairs/{pair.pk}/settle/"
        gone = ada.get(address)
        assert gone.headers["Location"] == f"/campaigns/{campaign.pk}/disagreements/"
        refused = ada.post(address, {"value": "2", "reason": "Mine."}).content.decode()
        assert "not among those that wait" in refused
        assert "Mine." in refused
        assert "The votes" not in refused
        assert "Only mine." not in refused
    assert Adjudication.objects.count() == 1


def test_an_adjudicator_takes_back_only_what_they_settled_and_a_lead_anything():
    campaign = a_campaign(overlap=2)
    pair = judged(campaign, 2, 6)
    pair_settle(rater=rater_for(user=adjudicator(campaign)), comparison=pair, value=1, reason="r")
    address = f"/campaigns/{campaign.pk}/pairs/{pair.pk}/unsettle/"
    assert signed_in(adjudicator(campaign, "bo")).post(address).status_code == 403
    assert labels(campaign) == [1]
    lead = signed_in(person_create("lea", "lead", line=campaign.line))
    assert lead.post(address).status_code == 302
    assert labels(campaign) == [2, 6]
    assert lead.post(address).status_code == 404
