"""Gold items: made, shown once, told of after a wrong answer, retired; never learned from."""

from __future__ import annotations

import uuid

import pytest

from annotation import facade
from annotation.comparisons.gold import gold_figures, gold_items, gold_people, gold_told
from annotation.comparisons.models import Assignment, Comparison, Completion, Prompt
from annotation.comparisons.records import Answer, AnswerFixed
from annotation.comparisons.scale import answer_right
from annotation.comparisons.selectors import comparison_for, pairs_available
from annotation.comparisons.services import (
    gold_item_create,
    gold_item_of_pair,
    gold_item_replace,
    gold_item_retire,
    gold_item_write,
    judgment_revise,
    judgment_undo,
    prompts_ensure,
    queue_lease_next,
)
from annotation.contracts import AnnotationError, NewPrompt, SnapshotRecipe
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

ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


def written(campaign, n=1, **known):
    known = {"gold_value": 2, **known}
    return gold_item_write(
        campaign=campaign,
        messages=[{"role": "user", "content": f"What is {n} + {n}?"}],
        texts=(f"It is {2 * n}.", "It is one less."),
        **known,
    )


def shown_value(assignment_id, slot_value):
    """What is to be said of the pair as it is shown, so that `slot_value` is stored."""
    order = Assignment.objects.get(pk=assignment_id).shown_order
    return slot_value if order == [1, 2] else 8 - slot_value


def answer_gold(rater, campaign, slot_value):
    held = lease(rater, campaign)
    assert Comparison.objects.get(assignments=held.assignment_id).purpose == "gold"
    submit(rater, held.assignment_id, shown_value(held.assignment_id, slot_value))
    return held.assignment_id


@pytest.mark.parametrize(
    ("value", "known", "tolerance", "right"),
    [
        (1, 3, None, True),
        (4, 3, None, False),
        (5, 3, None, False),
        (4, 4, None, True),
        (3, 4, None, False),
        (3, 3, 0, True),
        (2, 3, 0, False),
        (4, 3, 1, True),
        (5, 3, 1, False),
        (5, 3, 2, True),
    ],
)
def test_right_is_the_same_side_or_within_the_tolerance(value, known, tolerance, right):
    assert answer_right(value, known, tolerance) is right
    assert answer_right(8 - value, 8 - known, tolerance) is right


@pytest.mark.django_db
def test_what_is_written_for_gold_is_no_prompt_for_policies_and_trains_nothing():
    campaign = a_campaign(gold_share=1.0)
    written(campaign)
    answer_gold(an_annotator(campaign), campaign, 2)
    stream = facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe())
    assert list(stream) == []
    assert facade.fresh_label_count(line_id=campaign.line, since=None) == 0
    splits = ("train", "validation", "test", "evaluation")
    assert Prompt.objects.count() == 1
    assert list(facade.prompts_stream(line_id=campaign.line, splits=splits)) == []
    assert facade.evaluation_prompt_count(line_id=campaign.line) == 0


@pytest.mark.django_db
def test_a_pair_made_gold_is_shown_as_the_pair_was_cut_off_and_with_its_maker_hidden():
    campaign = a_campaign(gold_share=1.0)
    (pair,) = some_pairs(campaign, 1)
    cut = pair.slots.get(position=2).completion
    text = f"I come from {'ab' * 32} and"
    Completion.objects.filter(pk=cut.pk).update(ended=False, artifact_sha256="ab" * 32, text=text)
    made = gold_item_of_pair(comparison=pair, gold_value=1)
    edited = gold_item_replace(comparison=made, gold_value=2)
    for item in (made, edited):
        own = [slot.completion_id for slot in item.slots.order_by("position")]
        assert own == [slot.completion_id for slot in pair.slots.order_by("position")]
    rater = an_annotator(campaign)
    held = lease(rater, campaign).assignment_id
    assert Assignment.objects.get(pk=held).comparison == edited
    seen = comparison_for(rater=rater, assignment_id=held)
    ended = {seen.left: seen.left_ended, seen.right: seen.right_ended}
    assert ended["I come from [name hidden] and"] is False
    assert sorted(ended.values()) == [False, True]


@pytest.mark.django_db
def test_a_pair_made_gold_stays_and_its_prompt_too():
    campaign = a_campaign()
    (pair,) = some_pairs(campaign, 1, split="train")
    item = gold_item_of_pair(comparison=pair, gold_value=6, tolerance=1, explanation=" Slot 2. ")
    assert (item.gold_value, item.gold_tolerance, item.gold_explanation) == (6, 1, "Slot 2.")
    texts = [[s.completion.text for s in c.slots.all()] for c in (pair, item)]
    assert texts[0] == texts[1]
    assert len(list(facade.prompts_stream(line_id=campaign.line, splits=("train",)))) == 1
    with pytest.raises(AnnotationError, match="gold item of the campaign already"):
        gold_item_of_pair(comparison=pair, gold_value=1)


@pytest.mark.django_db
def test_what_decides_on_candidates_is_not_made_gold():
    campaign = a_campaign()
    (gate,) = some_pairs(campaign, 1, purpose="gate", round_id=uuid.uuid4())
    with pytest.raises(AnnotationError, match="Only a training pair"):
        gold_item_of_pair(comparison=gate, gold_value=1)
    asked = NewPrompt(messages=({"role": "user", "content": "Why?"},), split="evaluation")
    (kept,) = prompts_ensure(line_id=campaign.line, prompts=[asked])
    with pytest.raises(AnnotationError, match="kept for judging candidates"):
        gold_item_create(campaign=campaign, prompt=kept, texts=("a", "b"), gold_value=1)
    with pytest.raises(AnnotationError, match="the same"):
        gold_item_write(campaign=campaign, messages=ASKED, texts=("a", "a"), gold_value=1)
    with pytest.raises(AnnotationError, match="write both"):
        gold_item_write(campaign=campaign, messages=ASKED, texts=("a", " "), gold_value=1)
    assert not gold_items(campaign=campaign).exists()


@pytest.mark.django_db
def test_an_item_that_was_edited_does_not_come_again_to_who_has_had_it():
    campaign = a_campaign(gold_share=1.0)
    item = written(campaign, gold_value=2)
    before, later = an_annotator(campaign), an_annotator(campaign)
    answer_gold(before, campaign, 2)
    edited = gold_item_replace(comparison=item, gold_value=6, explanation="It was wrong.")
    assert queue_lease_next(rater=before, campaign=campaign) is None
    assert answer_gold(later, campaign, 6)
    assert list(gold_items(campaign=campaign)) == [edited]
    old, new = gold_figures([Comparison.objects.get(pk=item.pk), edited])
    assert [(f.right, f.answered, f.share) for f in (old, new)] == [(1, 1, 1.0), (1, 1, 1.0)]
    assert [f.retired_at is not None for f in (old, new)] == [True, False]


@pytest.mark.django_db
def test_people_are_listed_by_how_rarely_they_are_right():
    campaign = a_campaign(gold_share=1.0)
    for n in range(1, 4):
        written(campaign, n, gold_value=1)
    good, bad = an_annotator(campaign), an_annotator(campaign)
    for values, rater in (((1, 2, 3), good), ((1, 5, 6), bad)):
        for value in values:
            answer_gold(rater, campaign, value)
    found = [(p.rater, p.right, p.answered, p.left_out) for p in gold_people(campaign=campaign)]
    assert found == [(bad, 1, 3, False), (good, 3, 3, False)]
    drawn = exclusion_drawn(campaign=campaign, rater=bad)
    exclusion_make(exclusion=drawn, reason="r", actor=person_create("lea", "lead"))
    assert [p.left_out for p in gold_people(campaign=campaign)] == [True, False]
    figures = gold_figures(list(gold_items(campaign=campaign)))
    assert [(f.right, f.answered) for f in figures] == [(1, 1)] * 3


@pytest.mark.django_db
def test_a_retired_item_is_shown_to_nobody_else_and_frees_who_holds_it():
    campaign = a_campaign(gold_share=1.0)
    item = written(campaign)
    holder = an_annotator(campaign)
    held = lease(holder, campaign)
    gold_item_retire(comparison=item)
    assert queue_lease_next(rater=an_annotator(campaign), campaign=campaign) is None
    assert submit(holder, held.assignment_id).surplus
    assert gold_figures([Comparison.objects.get(pk=item.pk)])[0].answered == 0
    with pytest.raises(AnnotationError, match="retired already"):
        gold_item_retire(comparison=item)


@pytest.mark.django_db
def test_a_wrong_answer_is_told_of_in_the_order_shown_and_stays():
    campaign = a_campaign(gold_share=1.0, gold_feedback=True)
    written(campaign, gold_value=1, explanation="One less is wrong.")
    for _ in range(24):  # the sides are drawn: one order alone comes once in 8 million runs
        annotator = an_annotator(campaign)
        wrong = answer_gold(annotator, campaign, 5)
        letter = "A" if Assignment.objects.get(pk=wrong).shown_order == [1, 2] else "B"
        assert gold_told(assignment_id=wrong) == (
            "About “What is 1 + 1?”: the answer that is known to be right is"
            f" “{letter} is much better”. One less is wrong."
        )
        with pytest.raises(AnswerFixed, match="You were told the right answer"):
            judgment_undo(rater=annotator, assignment_id=wrong)
        with pytest.raises(AnswerFixed, match="You were told"):
            judgment_revise(
                rater=annotator,
                assignment_id=wrong,
                answer=Answer(values={"overall": 1}),
                idempotency_key="mended",
            )
    orders = Assignment.objects.values_list("shown_order", flat=True)
    assert {tuple(order) for order in orders} == {(1, 2), (2, 1)}


@pytest.mark.django_db
def test_nothing_is_told_of_right_answers_other_pairs_or_where_the_campaign_keeps_silent():
    campaign = a_campaign(gold_share=1.0, gold_feedback=True)
    item = written(campaign, gold_value=1)
    annotator = an_annotator(campaign)
    right = answer_gold(annotator, campaign, 2)
    assert gold_told(assignment_id=right) == ""
    judgment_undo(rater=annotator, assignment_id=right)  # nothing gives it away as gold
    some_pairs(campaign, 1)
    gold_item_retire(comparison=item)
    assert gold_told(assignment_id=label_next(annotator, campaign).assignment_id) == ""
    silent = a_campaign(gold_share=1.0)
    written(silent, gold_value=1)
    assert gold_told(assignment_id=answer_gold(an_annotator(silent), silent, 6)) == ""


@pytest.mark.django_db
def test_gold_items_alone_do_not_wait_for_anybody():
    campaign = a_campaign(gold_share=0.05)
    written(campaign)
    annotator = an_annotator(campaign)
    assert not pairs_available(rater=annotator, campaign=campaign)
    some_pairs(campaign, 1)
    assert pairs_available(rater=annotator, campaign=campaign)
