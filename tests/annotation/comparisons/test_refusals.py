"""What is refused on the way from the queue to an answer, in the whole sentence that people read."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from annotation.accounts.models import Role, User
from annotation.accounts.services import membership_grant, rater_for
from annotation.campaigns.services import campaign_set_state
from annotation.comparisons.models import Assignment, Comparison, Judgment
from annotation.comparisons.records import (
    FLAGS,
    REASONS,
    Answer,
    AnswerFixed,
    AnswerInvalid,
    NotYours,
    QueueClosed,
)
from annotation.comparisons.services import (
    answer_send_back,
    assignment_park,
    assignment_reopen,
    assignment_skip,
    assignment_undo,
    draft_save,
    gate_labels_release,
    gate_queue_close,
    gold_item_create,
    gold_item_of_pair,
    gold_item_retire,
    gold_item_write,
    judgment_revise,
    judgment_submit,
    judgment_undo,
    lease_release,
    leases_release_expired,
    pair_settle,
    pair_unsettle,
    pairs_create,
    prompts_ensure,
    qualification_answer,
    qualification_begin,
    queue_lease_next,
    thread_write,
)
from annotation.comparisons.services.material import completions_ensure
from annotation.contracts import AnnotationError, NewCompletion, NewPair, NewPrompt
from annotation.quality.services import exclusion_drawn, exclusion_make
from tests.annotation.factories import (
    a_campaign,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    some_rankings,
    submit,
)

pytestmark = pytest.mark.django_db


def says(sentence: str, kind: type[AnnotationError] = AnnotationError):
    return pytest.raises(kind, match="^" + re.escape(sentence) + "$")


@pytest.fixture
def campaign():
    made = a_campaign(name="Help desk")
    some_pairs(made, 4)
    return made


@pytest.fixture
def held(campaign, annotator):
    return Assignment.objects.get(pk=lease(annotator, campaign).assignment_id)


def answer(rater, held, said=None, key="k", act=judgment_submit, **answer):
    answer = {"values": {"overall": 2}, **answer} if said is None else said
    with transaction.atomic():
        return act(rater=rater, assignment_id=held.pk, answer=Answer(**answer), idempotency_key=key)


def test_a_queue_says_why_it_hands_out_nothing(campaign, annotator):
    outsider = User.objects.create_user(username="out", email="out@example.com")
    membership_grant(user=outsider, role=Role.ANNOTATOR, line_id=uuid.uuid4())
    with says("You have no role that labels in the campaign Help desk.", QueueClosed):
        queue_lease_next(rater=rater_for(user=outsider), campaign=campaign)
    drawn = exclusion_drawn(campaign=campaign, rater=annotator)
    exclusion_make(exclusion=drawn, reason="Careless.", actor=annotator.user)
    paused = (
        "Your lead has paused your work here and will tell you why: ask them, or choose another"
        " campaign."
    )
    with says(paused, QueueClosed):
        queue_lease_next(rater=annotator, campaign=campaign)
    other = an_annotator(campaign)
    assert queue_lease_next(rater=other, campaign=campaign)
    (known,) = some_pairs(campaign, 1)
    gold_item_of_pair(comparison=known, gold_value=1)
    campaign.qualification_items = 1
    campaign.save()
    with says("Pass the qualification test first: it waits on your home page.", QueueClosed):
        queue_lease_next(rater=other, campaign=campaign)
    campaign_set_state(campaign=campaign, state="paused")
    with says("The campaign Help desk is paused: nothing to label now.", QueueClosed):
        queue_lease_next(rater=other, campaign=campaign)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"values": {}}, "Say which of the two is better overall, or that they are equal."),
        ({"values": {"overall": 0}}, "overall: use a whole number from 1 to 7."),
        ({"values": {"overall": 8}}, "overall: use a whole number from 1 to 7."),
        ({"values": {"overall": 2.0}}, "overall: use a whole number from 1 to 7."),
        ({"values": {"overall": 1, "k" * 61: 2}}, f"This campaign does not ask for '{'k' * 60}'."),
        (
            {"values": {"overall": 2}, "ranking": (1, 2)},
            "This campaign compares two answers: send values, and no ranking.",
        ),
        (
            {"values": {"overall": 2}, "flags": ("ugly" * 16,)},
            f"There is no flag '{('ugly' * 16)[:60]}'; use one of {', '.join(FLAGS)}.",
        ),
        (
            {"values": {"overall": 2}, "reasons": ("r" * 61,)},
            f"There is no reason '{'r' * 60}'; use one of {', '.join(REASONS)}.",
        ),
        (
            {"values": {"overall": 2}, "rationale": "x" * 10_001},
            "The rationale is too long: at most 10,000 characters.",
        ),
        (
            {"values": {"overall": 2}, "rationale": "a\x00b"},
            "The rationale contains a NUL character; remove it.",
        ),
    ],
)
def test_an_answer_is_refused_by_the_part_that_is_wrong(held, annotator, said, sentence):
    with says(sentence, AnswerInvalid):
        answer(annotator, held, said)
    assert not Judgment.objects.exists()
    assert answer(annotator, held, rationale="x" * 10_000).revision == 1


def test_both_ends_of_the_scale_are_answers(campaign, annotator):
    for value in (1, 7):
        assert label_next(annotator, campaign, value).revision == 1


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            {"values": {"overall": 2}},
            "This campaign ranks 3 answers: send a ranking, and no values.",
        ),
        (
            {"values": {}, "ranking": (1, 2)},
            "ranking: send a level for each of the 3 answers in the order shown, 1 the best.",
        ),
        (
            {"values": {}, "ranking": (1, 2, 4)},
            "ranking: use whole numbers from 1 to 3; equal ones tie.",
        ),
        (
            {"values": {}, "ranking": (0, 1, 2)},
            "ranking: use whole numbers from 1 to 3; equal ones tie.",
        ),
    ],
)
def test_an_order_is_refused_by_what_is_missing(said, sentence):
    campaign = a_campaign(answers=3)
    some_rankings(campaign, 1)
    rater = an_annotator(campaign)
    held = Assignment.objects.get(pk=lease(rater, campaign).assignment_id)
    with says(sentence, AnswerInvalid):
        answer(rater, held, said)
    assert answer(rater, held, {"values": {}, "ranking": (1, 3, 1)}).revision == 1


def test_a_key_has_1_to_100_characters_and_belongs_to_one_pair(campaign, annotator, held):
    sentence = "Send an idempotency key of 1 to 100 characters with each answer."
    for key in ("", "k" * 101):
        with says(sentence, AnswerInvalid):
            answer(annotator, held, key=key)
    assert answer(annotator, held, key="k" * 100).revision == 1
    following = Assignment.objects.get(pk=lease(annotator, campaign).assignment_id)
    with says("This idempotency key belongs to the answer to another pair.", AnswerInvalid):
        answer(annotator, following, key="k" * 100)
    assert answer(annotator, following, key="1").revision == 1


def test_what_was_answered_or_skipped_is_not_answered_again(campaign, annotator, held):
    with says("There is no answer to this pair that could be changed.", AnswerInvalid):
        answer(annotator, held, act=judgment_revise)
    answer(annotator, held)
    with says("You have answered this pair already; edit that answer instead.", AnswerFixed):
        answer(annotator, held, key="k2")
    with says("You have answered this pair; undo the answer before you skip it.", AnswerInvalid):
        assignment_skip(rater=annotator, assignment_id=held.pk, reason="r")
    passed = lease(annotator, campaign).assignment_id
    why = "Say in at most 300 characters why you skip this pair."
    for reason in (" ", "r" * 301):
        with says(why, AnswerInvalid):
            assignment_skip(rater=annotator, assignment_id=passed, reason=reason)
    assignment_skip(rater=annotator, assignment_id=passed, reason="r" * 300)
    with says("You skipped this pair, so that it went to somebody else.", AnswerFixed):
        submit(annotator, passed)
    with says("This pair was skipped; there is no draft to keep.", AnswerInvalid):
        draft_save(rater=annotator, assignment_id=passed, draft={})


def test_a_draft_has_a_length_that_it_keeps_under(annotator, held):
    room = 40_000 - len('{"rationale": ""}')
    draft_save(rater=annotator, assignment_id=held.pk, draft={"rationale": "x" * room})
    with says("The draft is too long: keep it under 40,000 characters.", AnswerInvalid):
        draft_save(rater=annotator, assignment_id=held.pk, draft={"rationale": "x" * (room + 1)})
    kept = Assignment.objects.get(pk=held.pk)
    assert len(kept.draft["rationale"]) == room


def test_what_is_not_one_s_own_is_not_there(campaign, annotator, held):
    other = an_annotator(campaign)
    for act in (
        lambda: submit(other, held.pk),
        lambda: answer(other, held, act=judgment_revise),
        lambda: judgment_undo(rater=other, assignment_id=held.pk),
        lambda: draft_save(rater=other, assignment_id=held.pk, draft={}),
        lambda: assignment_skip(rater=other, assignment_id=held.pk, reason="r"),
        lambda: submit(annotator, uuid.uuid4()),
        lambda: draft_save(rater=annotator, assignment_id=uuid.uuid4(), draft={}),
    ):
        with says("You have no such pair.", NotYours):
            act()


def test_what_nobody_holds_is_not_taken_away(campaign, annotator, held):
    lease_release(assignment=held)
    held.refresh_from_db()
    assert (held.state, held.lease_expires_at, held.comparison.leased) == ("expired", None, 0)
    with says("Nobody holds this pair any more."):
        lease_release(assignment=held)
    assert Comparison.objects.get(pk=held.comparison_id).leased == 0


def test_coming_back_too_late_is_said(campaign, annotator, held):
    answer(annotator, held)
    with says("Only a pair that is neither answered nor skipped can be parked.", AnswerInvalid):
        assignment_park(rater=annotator, assignment_id=held.pk, draft={})
    passed = lease(annotator, campaign).assignment_id
    assignment_skip(rater=annotator, assignment_id=passed, reason="r")
    parked = lease(annotator, campaign).assignment_id
    assignment_park(rater=annotator, assignment_id=parked, draft={})
    past = timezone.now() - timedelta(hours=1)
    Assignment.objects.filter(pk=parked).update(lease_expires_at=past)
    leases_release_expired()
    other = an_annotator(campaign)
    while queue_lease_next(rater=other, campaign=campaign) is not None:
        label_next(other, campaign)
    with says("Somebody else has this pair by now, so that the skip stays.", AnswerFixed):
        assignment_undo(rater=annotator, assignment_id=passed)
    with says(
        "Its time ran out and others have answered this pair meanwhile, so that it is closed.",
        AnswerFixed,
    ):
        assignment_reopen(rater=annotator, assignment_id=parked)


def test_too_many_parked_pairs_are_said(campaign, annotator):
    some_pairs(campaign, 8)
    for _ in range(10):
        first = lease(annotator, campaign).assignment_id
        assignment_park(rater=annotator, assignment_id=first, draft={})
    with says("You have parked 10 pairs: open one of them before you park another.", AnswerInvalid):
        following = lease(annotator, campaign).assignment_id
        assignment_park(rater=annotator, assignment_id=following, draft={})
    assignment_park(rater=annotator, assignment_id=first, draft={"both_bad": True})  # again
    assert Assignment.objects.get(pk=first).draft == {"both_bad": True}


def test_what_is_no_gold_item_is_said(campaign):
    pair = Comparison.objects.filter(campaign=campaign)[0]
    for texts, sentence in (
        (("a", " "), "A gold item compares two answers: write both."),
        (("a", "a"), "The two answers are the same: nobody could tell them apart."),
    ):
        with says(sentence):
            gold_item_create(campaign=campaign, prompt=pair.prompt, texts=texts, gold_value=1)
    asked = NewPrompt(messages=({"role": "user", "content": "Why?"},), split="evaluation")
    (kept,) = prompts_ensure(line_id=campaign.line, prompts=[asked])
    with says(
        "This prompt is kept for judging candidates, which people must not have seen before;"
        " use another."
    ):
        gold_item_create(campaign=campaign, prompt=kept, texts=("a", "b"), gold_value=1)
    (gate,) = some_pairs(campaign, 1, purpose="gate", round_id=uuid.uuid4())
    with says("Only a training pair can be made gold: others decide or measure."):
        gold_item_of_pair(comparison=gate, gold_value=1)
    item = gold_item_of_pair(comparison=pair, gold_value=1)
    with says("This pair is a gold item of the campaign already; edit that one."):
        gold_item_of_pair(comparison=pair, gold_value=1)
    with says("This pair is no gold item."):
        gold_item_retire(comparison=pair)
    gold_item_retire(comparison=item)
    with says("This gold item was retired already."):
        gold_item_retire(comparison=item)
    again = gold_item_of_pair(comparison=pair, gold_value=1)  # what is retired is no bar
    assert again != item
    ranks = a_campaign(name="Orders", answers=4)
    with says("Orders ranks 4 answers: gold items compare two, and are for campaigns of pairs."):
        gold_item_write(
            campaign=ranks,
            messages=[{"role": "user", "content": "Why?"}],
            texts=("a", "b"),
            gold_value=1,
        )


def test_the_same_pair_may_be_gold_in_two_campaigns(campaign):
    asked = [{"role": "user", "content": "What is 2 + 2?"}]
    elsewhere = a_campaign(line_id=campaign.line)
    made = [
        gold_item_write(
            campaign=each, messages=asked, texts=("4", "5"), gold_value=1, tolerance=2,
            explanation=" Count. ",
        )
        for each in (campaign, elsewhere)
    ]  # fmt: skip
    assert {item.prompt_id for item in made} == {made[0].prompt_id}
    assert [(i.gold_tolerance, i.gold_explanation) for i in made] == [(2, "Count.")] * 2
    assert [item.campaign for item in made] == [campaign, elsewhere]


def test_pairs_that_do_not_fit_are_refused_by_what_does_not(campaign):
    pair = Comparison.objects.filter(campaign=campaign)[0]
    new = NewPair(pair.prompt_id, (NewCompletion("x"), NewCompletion("y")))
    with says("Pairs are for training or gate, not for 'gold'."):
        pairs_create(campaign=campaign, purpose="gold", pairs=[new])
    with says("Gate pairs belong to a round; name it."):
        pairs_create(campaign=campaign, purpose="gate", pairs=[new])
    ranks = a_campaign(name="Orders", answers=4, line_id=campaign.line)
    with says(
        "The campaign Orders ranks 4 answers of each prompt; a gate compares two: name a campaign of"
        " pairs."
    ):
        pairs_create(campaign=ranks, purpose="gate", pairs=[new], round_id=uuid.uuid4())
    of_prompt = f"answers of each prompt; here are 2 of the prompt {pair.prompt_id}."
    with says(f"The campaign Orders ranks 4 {of_prompt}"):
        pairs_create(campaign=ranks, purpose="training", pairs=[new])
    three = NewPair(pair.prompt_id, (*new.completions, NewCompletion("z")))
    with says(f"The campaign Help desk compares 2 {of_prompt.replace('are 2', 'are 3')}"):
        pairs_create(campaign=campaign, purpose="training", pairs=[three])
    strange = uuid.uuid4()
    with says(f"The line {campaign.line} has no prompt {strange}."):
        pairs_create(
            campaign=campaign, purpose="training", pairs=[NewPair(strange, new.completions)]
        )
    asked = NewPrompt(messages=({"role": "user", "content": "Why?"},), split="evaluation")
    (kept,) = prompts_ensure(line_id=campaign.line, prompts=[asked])
    with says(
        f"The prompt {kept.pk} is kept for evaluation, so that a label on it would never train:"
        " take a prompt of another split for a pair to learn from."
    ):
        pairs_create(
            campaign=campaign, purpose="training", pairs=[NewPair(kept.pk, new.completions)]
        )
    assert Comparison.objects.count() == 4


def test_the_test_says_what_it_asks_for():
    campaign = a_campaign(qualification_items=2, qualification_tries=1)
    rater = an_annotator(campaign)
    with (
        says("The test asks for 2 gold items and the campaign has 0: tell your lead."),
        transaction.atomic(),
    ):
        qualification_begin(rater=rater, campaign=campaign)
    for pair in some_pairs(campaign, 2):
        gold_item_of_pair(comparison=pair, gold_value=1)
    attempt = qualification_begin(rater=rater, campaign=campaign)
    for value in (0, 8):
        with says("Use a whole number from 1 to 7."):
            qualification_answer(attempt=attempt, position=1, value=value)
    for position, value in ((1, 1), (2, 7)):
        shown = attempt.answers.get(position=position).shown_order
        wrong = 8 - value if shown == [1, 2] else value
        qualification_answer(attempt=attempt, position=position, value=wrong)
    with says("You have no try left: ask your lead."):
        qualification_begin(rater=rater, campaign=campaign)
    with says("There is no test for you to take in this campaign."):
        qualification_begin(rater=rater, campaign=a_campaign())


def test_what_is_not_sent_back_is_said(campaign, annotator):
    judgment = Judgment.objects.get(pk=label_next(annotator, campaign).judgment_id)
    for note in (" ", "n" * 1001):
        with says("Say in at most 1000 characters what is to be looked at."):
            answer_send_back(judgment=judgment, note=note)
    sent = answer_send_back(judgment=judgment, note=f" {'n' * 1000} ")
    assert sent.note == "n" * 1000
    with says("This answer was sent back already and waits."):
        answer_send_back(judgment=judgment, note="Again.")
    judgment_undo(rater=annotator, assignment_id=judgment.assignment_id)
    with says("This answer is no longer in force; look at the one that is."):
        answer_send_back(judgment=judgment, note="Again.")
    gate = a_campaign(gate_share=1.0)
    some_pairs(gate, 1, purpose="gate", round_id=uuid.uuid4())
    decides = Judgment.objects.get(pk=label_next(an_annotator(gate), gate).judgment_id)
    with says("Only answers to training pairs are sent back: others decide or measure."):
        answer_send_back(judgment=decides, note="Again.")


def test_what_is_not_settled_is_said(campaign, annotator):
    pair = Comparison.objects.filter(campaign=campaign)[0]
    with says("Say why: who voted otherwise will learn from it."):
        pair_settle(rater=annotator, comparison=pair, value=1, reason=" ")
    settled = pair_settle(rater=annotator, comparison=pair, value=1, reason="First.")
    with says("This pair was settled meanwhile."):
        pair_settle(rater=annotator, comparison=pair, value=1, reason="First.")
    pair_unsettle(adjudication=settled, actor="lea")
    settled.refresh_from_db()
    assert settled.lifted_by == "lea"
    with says("The votes on this pair count again already."):
        pair_unsettle(adjudication=settled, actor="lea")
    held = Assignment.objects.get(pk=lease(annotator, campaign).assignment_id)
    with says("You were given this pair to answer: another adjudicator settles it."):
        pair_settle(rater=annotator, comparison=held.comparison, value=1, reason="First.")
    (gate,) = some_pairs(campaign, 1, purpose="gate", round_id=uuid.uuid4())
    with says("Only training pairs are settled: others decide or measure."):
        pair_settle(rater=annotator, comparison=gate, value=1, reason="First.")
    ranks = a_campaign(answers=3)
    (ranked,) = some_rankings(ranks, 1)
    with says("Rankings are not settled: every person's order trains with its weight."):
        pair_settle(rater=an_annotator(ranks), comparison=ranked, value=1, reason="First.")


def test_a_question_has_a_length_and_an_answer_a_question(held):
    for text in (" ", "x" * 2001):
        with says("Write at most 2000 characters, and something."):
            thread_write(assignment=held, text=text, by_rater=True)
    with says("Nobody has asked about this pair."):
        thread_write(assignment=held, text="Yes.", by_rater=False)
    assert thread_write(assignment=held, text=f" {'x' * 2000} ", by_rater=True).text == "x" * 2000
    assert not thread_write(assignment=held, text="Yes.", by_rater=False).by_rater


def test_gate_labels_are_released_after_the_decision_alone(campaign):
    round_id = uuid.uuid4()
    some_pairs(campaign, 1, purpose="gate", round_id=round_id)
    with says(
        f"The pairs of the gate of round {round_id} are still with people: release their labels"
        " after the decision."
    ):
        gate_labels_release(line_id=campaign.line, round_ids=[round_id])
    gate_queue_close(round_id=round_id)
    released = gate_labels_release(line_id=campaign.line, round_ids=[round_id])
    assert (released.rounds, released.labels, released.roots) == (1, 0, 0)


def test_a_text_of_a_prompt_is_stored_once(campaign):
    prompt = Comparison.objects.filter(campaign=campaign)[0].prompt
    first, second, third = completions_ensure(
        texts=[(prompt, "one"), (prompt, "two"), (prompt, "one")]
    )
    assert (first.pk, first.text, second.text) == (third.pk, "one", "two")
