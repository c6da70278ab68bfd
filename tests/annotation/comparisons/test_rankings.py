"""Ranked answers: from the queue to the rows that a reward model learns from."""

from __future__ import annotations

import itertools
import uuid

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction

from annotation import facade
from annotation.campaigns.models import Campaign
from annotation.campaigns.services import campaign_update
from annotation.comparisons.history import Wanted, answer_says, history, history_row
from annotation.comparisons.levels import (
    levels_dense,
    levels_shown,
    levels_turned,
    order_says,
    ranking_pairs,
)
from annotation.comparisons.models import (
    Assignment,
    Comparison,
    Completion,
    Judgment,
    JudgmentValue,
    Slot,
)
from annotation.comparisons.records import Answer, AnswerInvalid
from annotation.comparisons.selectors import comparison_for
from annotation.comparisons.services import (
    answer_send_back,
    gold_item_write,
    judgment_revise,
    judgment_submit,
    judgment_undo,
    pair_settle,
    pairs_create,
    prompts_ensure,
)
from annotation.comparisons.services.queue import places_drawn
from annotation.comparisons.uses import label_uses
from annotation.contracts import (
    AnnotationError,
    NewCompletion,
    NewPair,
    NewPrompt,
    SnapshotRecipe,
)
from annotation.quality.services import exclusion_drawn, exclusion_make
from tests.annotation.factories import (
    a_campaign,
    a_simulation,
    an_annotator,
    label_next,
    lease,
    rank_next,
    some_pairs,
    some_rankings,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign():
    campaign = a_campaign(answers=4, overlap=2)
    some_rankings(campaign, 6)
    return campaign


def given(rater, campaign, *levels, **more):
    """The assignment of a ranking that was just given: `levels` by slot."""
    outcome = rank_next(rater, campaign, *levels, **more)
    return Assignment.objects.get(pk=outcome.assignment_id)


def test_levels_are_turned_and_turned_back():
    assert levels_dense([1, 1, 3, 9]) == [1, 1, 2, 3]
    # shown are slots 3, 1, 2 with levels 1, 2, 2: slot 1 has 2, slot 2 has 2, slot 3 has 1
    assert levels_turned([1, 2, 2], [3, 1, 2]) == [2, 2, 1]
    for order in itertools.permutations((1, 2, 3, 4)):
        assert levels_shown(levels_turned([2, 1, 1, 3], order), order) == [2, 1, 1, 3]
    assert order_says([2, 1, 2, 3]) == "B, A = C, D"


def test_a_ranking_is_every_two_of_its_answers():
    found = [(p.first, p.second, p.levels, p.value) for p in ranking_pairs([2, 1, 2])]
    assert found == [(0, 1, (2, 1), 6), (0, 2, (2, 2), 4), (1, 2, (1, 2), 2)]


def test_every_person_sees_the_answers_in_an_order_of_their_own(campaign):
    pair = Comparison.objects.all()[0]
    orders = {tuple(places_drawn(pair, a_simulation(), 4)) for _ in range(60)}
    assert all(sorted(order) == [1, 2, 3, 4] for order in orders)
    assert len(orders) > 12
    assert {order[0] for order in orders} == {1, 2, 3, 4}


def test_an_order_is_stored_by_slot_and_read_back_as_shown(campaign, annotator):
    for _ in range(6):
        assignment = given(annotator, campaign, 2, 1, 2, 3)
        judgment = Judgment.objects.get(assignment=assignment)
        assert judgment.levels == [2, 1, 2, 3]
        view = comparison_for(rater=annotator, assignment_id=assignment.pk)
        assert [view.answers[place].split()[0] for place in range(4)] == [
            {1: "first", 2: "second", 3: "third", 4: "fourth"}[slot]
            for slot in assignment.shown_order
        ]
        assert view.answer is not None
        assert view.answer.ranking == tuple(levels_shown([2, 1, 2, 3], assignment.shown_order))
    assert not JudgmentValue.objects.exists()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"values": {"overall": 2}}, "ranks 4 answers"),
        ({"values": {}}, "a level for each of the 4 answers"),
        ({"values": {}, "ranking": (1, 2, 3)}, "a level for each of the 4 answers"),
        ({"values": {}, "ranking": (1, 2, 3, 5)}, "whole numbers from 1 to 4"),
        ({"values": {}, "ranking": (0, 1, 2, 3)}, "whole numbers from 1 to 4"),
        ({"values": {}, "ranking": (True, 2, 3, 4)}, "whole numbers from 1 to 4"),
        ({"values": {}, "ranking": (1, 2, 3, 4), "flags": ("unsafe:left",)}, "no flag"),
        ({"values": {}, "ranking": (1, 2, 3, 4), "flags": ("unsafe:5",)}, "no flag"),
    ],
)
def test_an_order_that_is_none_is_refused_by_name(campaign, annotator, answer, says):
    with pytest.raises(AnswerInvalid, match=says):
        judgment_submit(
            rater=annotator,
            assignment_id=lease(annotator, campaign).assignment_id,
            answer=Answer(**answer),
            idempotency_key="k",
        )
    assert not Judgment.objects.exists()


def test_a_campaign_of_pairs_takes_no_order():
    pairs = a_campaign()
    some_pairs(pairs, 1)
    with pytest.raises(AnswerInvalid, match="compares two answers"):
        label_next(an_annotator(pairs), pairs, ranking=(1, 2))


def test_undo_edit_and_a_second_sending_are_those_of_pairs(campaign, annotator):
    assignment = Assignment.objects.get(pk=lease(annotator, campaign).assignment_id)
    first = Answer(values={}, ranking=(1, 2, 2, 4), flags=("unsafe:3",), rationale="why")
    send = {"rater": annotator, "assignment_id": assignment.pk}
    judgment_submit(**send, answer=first, idempotency_key="one")
    assert judgment_submit(**send, answer=first, idempotency_key="one").repeated
    edited = Answer(values={}, ranking=(2, 1, 1, 1))
    assert judgment_revise(**send, answer=edited, idempotency_key="two").revision == 2
    judgment_undo(**send)
    assignment.refresh_from_db()
    assert assignment.draft["ranking"] == [2, 1, 1, 1]
    judgment_submit(**send, answer=first, idempotency_key="three")
    kept = Judgment.objects.order_by("revision").values_list("active", "withdrawn", "levels")
    assert [row[:2] for row in kept] == [
        (False, False),
        (False, False),
        (False, True),
        (True, False),
    ]
    last = Judgment.objects.get(active=True)
    assert levels_shown(last.levels or [], assignment.shown_order) == [1, 2, 2, 3]
    assert last.flags == [{"key": "unsafe", "slot": assignment.shown_order[2]}]
    shown = comparison_for(**send).answer
    assert shown is not None
    assert shown.flags == ("unsafe:3",)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Judgment.objects.filter(pk=last.pk).update(levels=[1, 1, 1, 1])


def test_ones_own_answers_tell_the_order(campaign, annotator):
    assignment = given(annotator, campaign, 1, 2, 3, 4)
    rows, _ = history(rater=annotator, lines=None, wanted=Wanted(text="third answer"))
    row = history_row(rows.get())
    letters = ["ABCD"[assignment.shown_order.index(slot)] for slot in (1, 2, 3, 4)]
    assert row.says == f"Best first: {', '.join(letters)}"
    assert "all are bad" in answer_says(Answer(values={}, ranking=(1, 1, 1), both_bad=True))


# ---------------------------------------------------------------- what a campaign that ranks is


@pytest.mark.parametrize("answers", [1, 10])
def test_two_are_compared_and_three_to_nine_are_ranked(answers):
    with pytest.raises(ValidationError, match="answers"):
        a_campaign(answers=answers)


@pytest.mark.parametrize(
    "setting",
    [
        {"gate_share": 0.2},
        {"gold_share": 0.1},
        {"repeat_share": 0.1},
        {"qualification_items": 3},
        {"overlap_sure": 0.8},
    ],
)
def test_what_compares_two_answers_is_refused_to_a_campaign_that_ranks(campaign, setting):
    with pytest.raises(ValidationError, match="ranks three answers or more has no gate pairs"):
        a_campaign(answers=3, **setting)
    with pytest.raises(ValidationError, match="ranks three answers or more has no gate pairs"):
        campaign_update(campaign=campaign, **setting)
    with pytest.raises(IntegrityError), transaction.atomic():
        Campaign.objects.filter(pk=campaign.pk).update(**setting)


def test_a_campaign_that_ranks_asks_for_the_overall_order_alone():
    with pytest.raises(AnnotationError, match="leave the other criteria out"):
        a_campaign(answers=3, criteria=[("honest", "Honest")])


def test_gate_pairs_and_pairs_of_the_loop_go_past_it(campaign):
    name = {"line_id": campaign.line, "pairs": [], "round_id": uuid.uuid4()}
    with pytest.raises(AnnotationError, match="no campaign that takes pairs"):
        facade.comparisons_create(purpose="training", **name)
    with pytest.raises(AnnotationError, match="a gate compares two"):
        facade.comparisons_create(purpose="gate", campaign_id=campaign.pk, **name)
    older = a_campaign(line_id=campaign.line)
    Campaign.objects.filter(pk=older.pk).update(created_at=campaign.created_at.replace(year=2020))
    assert facade.comparisons_create(purpose="gate", **name) == 0
    assert older.gate_queues.count() == 1


def test_the_number_of_answers_is_that_of_the_campaign(campaign):
    (prompt,) = prompts_ensure(
        line_id=campaign.line,
        prompts=[NewPrompt(messages=({"role": "user", "content": "Why?"},), split="train")],
    )
    two = NewPair(prompt.pk, (NewCompletion("a"), NewCompletion("b")))
    with pytest.raises(AnnotationError, match="ranks 4 answers of each prompt; here are 2"):
        pairs_create(campaign=campaign, purpose="training", pairs=[two])
    again = NewPair(prompt.pk, tuple(NewCompletion(t) for t in ("a", "b", "c", "b")))
    assert pairs_create(campaign=campaign, purpose="training", pairs=[again]) == 0


def test_gold_items_settling_and_sending_back_say_that_they_are_for_pairs(campaign, annotator):
    question = [{"role": "user", "content": "Which?"}]
    with pytest.raises(AnnotationError, match="gold items compare two"):
        gold_item_write(campaign=campaign, messages=question, texts=("a", "b"), gold_value=1)
    assignment = given(annotator, campaign, 1, 2, 3, 4)
    with pytest.raises(AnnotationError, match="Rankings are not settled"):
        pair_settle(rater=annotator, comparison=assignment.comparison, value=2, reason="so")
    judgment = Judgment.objects.get()
    with pytest.raises(AnnotationError, match="Rankings are not sent back"):
        answer_send_back(judgment=judgment, note="again")


def test_simulated_raters_pass_it_over(campaign):
    def never(name, shown):
        raise AssertionError("asked about a ranking")

    found = facade.labels_simulate(
        campaign_ids=[campaign.pk], names=["one"], wanted=3, judge=never, report=lambda n: None
    )
    assert found == 0


# ------------------------------------------------------------------------- what is learned


def stream(campaign, **recipe):
    return list(facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe(**recipe)))


def test_a_ranking_trains_as_its_pairs_with_the_weight_of_its_answers(campaign, annotator):
    given(annotator, campaign, 2, 1, 2, 3)
    rows = stream(campaign)
    key = str(Judgment.objects.get().pk)
    assert [row.id for row in rows] == [
        f"{key}:{p}" for p in ("1-2", "1-3", "1-4", "2-3", "2-4", "3-4")
    ]
    assert [row.preference for row in rows] == [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert [row.strength for row in rows] == [6.0, 4.0, 2.0, 2.0, 2.0, 2.0]
    assert {row.weight for row in rows} == {1 / 3}
    assert [row.part.levels for row in rows][:3] == [(2, 1), (2, 2), (2, 3)]
    assert {(row.part.ranking, row.part.answers, row.split) for row in rows} == {(key, 4, "train")}
    assert rows[0].completions[0].startswith("first")
    assert rows[0].completions[1].startswith("second")
    assert facade.fresh_label_count(line_id=campaign.line, since=None) == 1
    assert label_uses(line_id=campaign.line) == {"train": 1}


def test_the_pairs_of_a_ranking_say_who_wrote_their_own_two_answers(campaign, annotator):
    given(annotator, campaign, 2, 1, 2, 3)
    slots = list(
        Slot.objects.order_by("position").values_list(
            "completion__text", "completion__model_version"
        )
    )
    wrote = {text: "" if version is None else str(version) for text, version in slots}
    Completion.objects.update(sampling={"temperature": 1.0})
    for row in stream(campaign, writers=True):
        assert [writer.model for writer in row.writers] == [wrote[t] for t in row.completions]
        assert row.part is not None


def test_rankings_come_after_pairs_which_keep_their_lines(campaign, annotator):
    given(annotator, campaign, 1, 2, 3, 4)
    pairs = a_campaign(line_id=campaign.line)
    some_pairs(pairs, 1)
    label_next(an_annotator(pairs), pairs)
    first, *ranked = stream(campaign)
    assert first.part is None
    assert "part" not in first.to_json()
    assert len(ranked) == 6
    assert all(row.part for row in ranked)
    halved = stream(campaign, weights={campaign.slug: 0.5}, campaigns=(campaign.slug,))
    assert [row.weight for row in halved] == [0.5 / 3] * 6


def test_what_does_not_count_does_not_train(campaign, annotator):
    taken_back = given(annotator, campaign, 1, 2, 3, 4)
    judgment_undo(rater=annotator, assignment_id=taken_back.pk)
    assert stream(campaign) == []
    other = an_annotator(campaign)
    given(other, campaign, 1, 2, 3, 4)
    assert len(stream(campaign)) == 6
    wanted = Comparison.objects.filter(judged=1).get().wanted
    drawn = exclusion_drawn(campaign=campaign, rater=other)
    exclusion_make(exclusion=drawn, reason="test", actor=other.user)
    assert stream(campaign) == []
    assert Comparison.objects.get(judged=1).wanted == wanted + 1
