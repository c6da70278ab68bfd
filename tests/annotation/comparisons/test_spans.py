"""Marked parts of answers: checked, kept in slot order and in the stored text, read back as they were set."""

from __future__ import annotations

import json
import uuid

import pytest

from annotation.comparisons.history import Wanted, history, history_row
from annotation.comparisons.models import Assignment, Judgment
from annotation.comparisons.payloads import answer_payload, answer_read, draft_read
from annotation.comparisons.records import MOST_SPANS, Answer, AnswerInvalid, Span
from annotation.comparisons.selectors import comparison_for
from annotation.comparisons.services import (
    draft_save,
    judgment_revise,
    judgment_submit,
    judgment_undo,
    pairs_create,
    prompts_ensure,
)
from annotation.contracts import NewCompletion, NewPair, NewPrompt
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
LABELS = [{"name": "Wrong fact", "help": "Not so"}, {"name": "Well put"}]


@pytest.fixture
def campaign():
    made = a_campaign(span_labels=LABELS)
    some_pairs(made, 3)
    return made


def a_pair_that_names_itself(campaign):
    (prompt,) = prompts_ensure(
        line_id=campaign.line,
        prompts=[NewPrompt(messages=({"role": "user", "content": "Who?"},), split="train")],
    )
    texts = ("😀 I am GPT-4, and so.", "It is me, Anna.")
    pairs_create(
        campaign=campaign,
        purpose="training",
        pairs=[NewPair(prompt.pk, (NewCompletion(texts[0]), NewCompletion(texts[1])))],
    )
    return texts


def test_marks_are_kept_by_slot_and_read_back_by_side(campaign, annotator):
    held = lease(annotator, campaign)
    view = comparison_for(rater=annotator, assignment_id=held.assignment_id)
    start = view.right.index("answer")
    spans = (
        Span("right", start, start + 6, "wrong-fact"),
        Span("left", 0, 1, "well-put"),
        Span("left", 0, 1, "well-put"),  # said twice is said once
    )
    submit(annotator, held.assignment_id, spans=spans)
    judgment = Judgment.objects.get()
    order = judgment.assignment.shown_order
    assert judgment.spans == [
        {"label": "wrong-fact", "slot": order[1], "start": start, "end": start + 6},
        {"label": "well-put", "slot": order[0], "start": 0, "end": 1},
    ]
    answer = comparison_for(rater=annotator, assignment_id=held.assignment_id).answer
    assert answer is not None
    assert answer.spans == spans[:2]


def test_marks_beside_a_hidden_name_hold_the_stored_characters():
    campaign = a_campaign(span_labels=LABELS)
    texts = a_pair_that_names_itself(campaign)
    rater = an_annotator(campaign)
    held = lease(rater, campaign)
    view = comparison_for(rater=rater, assignment_id=held.assignment_id)
    side = "left" if "name hidden" in view.left else "right"
    text = getattr(view, side)
    so, name = text.index("so."), text.index("name")
    spans = (Span(side, so, so + 3, "well-put"), Span(side, name, name + 2, "wrong-fact"))
    submit(rater, held.assignment_id, spans=spans)
    kept = Judgment.objects.get().spans
    assert [texts[0][s["start"] : s["end"]] for s in kept] == ["so.", "GPT-4"]
    answer = comparison_for(rater=rater, assignment_id=held.assignment_id).answer
    assert answer is not None
    assert [text[s.start : s.end] for s in answer.spans] == ["so.", "[name hidden]"]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (
            Span("left", 0, 1, "wrong"),
            "mark 2 has the label 'wrong'; use one of wrong-fact, well-put",
        ),
        (Span("middle", 0, 1, "wrong-fact"), "mark 2 is on 'middle'; use one of left, right"),
        (Span("left", 3, 3, "wrong-fact"), "mark 2 is from 3 to 3"),
        (Span("left", 0, 1000, "wrong-fact"), "mark 2 is from 0 to 1000, but the left answer has"),
        (Span("left", -1, 3, "wrong-fact"), "mark 2 is from -1 to 3"),
    ],
)
def test_a_mark_that_cannot_be_is_named_and_nothing_is_kept(campaign, annotator, span, words):
    held = lease(annotator, campaign)
    with pytest.raises(AnswerInvalid, match=words):
        submit(annotator, held.assignment_id, spans=(Span("left", 0, 2, "wrong-fact"), span))
    assert not Judgment.objects.exists()


def test_more_than_are_kept_and_a_campaign_without_labels_are_refused(campaign, annotator):
    held = lease(annotator, campaign)
    many = tuple(Span("left", 0, 1, f"l{n}") for n in range(MOST_SPANS + 1))
    with pytest.raises(AnswerInvalid, match="at most 100"):
        submit(annotator, held.assignment_id, spans=many)
    bare = a_campaign()
    some_pairs(bare, 1)
    with pytest.raises(AnswerInvalid, match="no labels"):
        label_next(an_annotator(bare), bare, spans=(Span("left", 0, 1, "wrong-fact"),))


def test_undo_edit_and_draft_keep_the_marks(campaign, annotator):
    outcome = label_next(annotator, campaign, spans=(Span("left", 0, 5, "wrong-fact"),))
    judgment_undo(rater=annotator, assignment_id=outcome.assignment_id)
    draft = Assignment.objects.get(pk=outcome.assignment_id).draft
    assert draft["spans"] == [{"side": "left", "start": 0, "end": 5, "label": "wrong-fact"}]
    submit(annotator, outcome.assignment_id, spans=answer_read(draft).spans)
    judgment_revise(
        rater=annotator,
        assignment_id=outcome.assignment_id,
        answer=Answer({"overall": 4}, spans=(Span("right", 1, 3, "well-put"),)),
        idempotency_key="edit",
    )
    said = [j.spans for j in Judgment.objects.exclude(withdrawn=True).order_by("revision")]
    assert [[span["label"] for span in spans] for spans in said] == [
        ["wrong-fact"],
        ["wrong-fact"],
        ["well-put"],
    ]


def test_ranked_answers_are_marked_by_their_place():
    campaign = a_campaign(answers=3, span_labels=LABELS)
    some_rankings(campaign, 1)
    rater = an_annotator(campaign)
    held = lease(rater, campaign)
    answer = Answer({}, ranking=(1, 2, 3), spans=(Span("3", 0, 4, "well-put"),))
    judgment_submit(
        rater=rater, assignment_id=held.assignment_id, answer=answer, idempotency_key="k"
    )
    judgment = Judgment.objects.get()
    assert judgment.spans[0]["slot"] == judgment.assignment.shown_order[2]


def test_an_answer_travels_as_json_with_its_marks():
    answer = Answer({"overall": 3}, spans=(Span("left", 2, 4, "well-put"),))
    body = json.loads(json.dumps(answer_payload(answer)))
    assert answer_read(body) == answer
    assert draft_read({"answer": {"spans": body["spans"]}}) == {"spans": body["spans"]}


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ("left", "spans: send a list"),
        ([{"side": "left"}], "mark 1 needs side, start, end and label"),
        ([{"side": "left", "start": 0, "end": True, "label": "x"}], "the end of mark 1"),
        ([{"side": "left", "start": -1, "end": 1, "label": "x"}], "the start of mark 1"),
        ([{"side": 1, "start": 0, "end": 1, "label": "x"}], "the side of mark 1"),
        ([{"side": "left", "start": 0, "end": 1, "label": "x" * 41}], "the label of mark 1"),
        ([{"side": "left", "start": 0, "end": 1, "label": "x", "z": 1}], "and no more"),
    ],
)
def test_marks_of_another_shape_are_refused_by_name(spans, words):
    with pytest.raises(AnswerInvalid, match=words):
        answer_read({"values": {}, "spans": spans})


def test_ones_own_history_quotes_what_was_marked_as_it_was_read(campaign, annotator):
    outcome = label_next(annotator, campaign, spans=(Span("right", 0, 5, "wrong-fact"),))
    view = comparison_for(rater=annotator, assignment_id=outcome.assignment_id)
    drafted = lease(annotator, campaign)
    draft = {"spans": [{"side": "left", "start": 0, "end": 3, "label": "gone"}]}
    draft_save(rater=annotator, assignment_id=drafted.assignment_id, draft=draft)
    rows, _ = history(rater=annotator, lines=None, wanted=Wanted())
    said = {row.pk: history_row(row).spans for row in rows}
    (span,) = said[outcome.assignment_id]
    assert (span.letter, span.label, span.colour) == ("B", "Wrong fact", "red")
    assert span.quote == view.right[:5]
    (waiting,) = said[drafted.assignment_id]
    assert (waiting.letter, waiting.label, waiting.colour) == ("A", "gone", "grey")


def test_a_pair_is_as_many_queries_without_marks_as_before(
    campaign, annotator, django_assert_num_queries
):
    label_next(annotator, campaign)
    assignment = Assignment.objects.get(state="submitted")
    with django_assert_num_queries(4):
        comparison_for(rater=annotator, assignment_id=assignment.pk)


def test_marks_of_the_same_key_are_told_apart_by_campaign(campaign):
    other = a_campaign(span_labels=[{"name": "Other"}], line_id=uuid.uuid4())
    some_pairs(other, 1)
    with pytest.raises(AnswerInvalid, match="use one of other"):
        label_next(an_annotator(other), other, spans=(Span("left", 0, 1, "wrong-fact"),))
