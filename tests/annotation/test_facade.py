"""What the other rooms get: labels that may be used, each for what it was given for."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import facade
from annotation.comparisons.models import Assignment, Comparison, Judgment, Prompt
from annotation.comparisons.records import Answer
from annotation.comparisons.services import (
    judgment_revise,
    judgment_submit,
    judgment_undo,
    pairs_create,
    prompts_ensure,
    queue_lease_next,
)
from annotation.contracts import (
    AnnotationError,
    NewCompletion,
    NewPair,
    NewPrompt,
    SnapshotRecipe,
)
from annotation.quality.services import exclusion_drawn, exclusion_lift, exclusion_make
from annotation.rows import PreferenceRow, Writer
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

pytestmark = pytest.mark.django_db


def stream(campaign, **recipe):
    return list(facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe(**recipe)))


def slot_value(assignment_id, shown_value):
    order = Assignment.objects.get(pk=assignment_id).shown_order
    return shown_value if order == [1, 2] else 8 - shown_value


def test_rows_say_who_wrote_each_completion_only_where_the_recipe_asks():
    campaign = a_campaign()
    old, new = uuid.uuid4(), uuid.uuid4()
    prompt = prompts_ensure(
        line_id=campaign.line,
        prompts=[NewPrompt(messages=({"role": "user", "content": "Who?"},), split="train")],
    )[0]
    drawn = {"temperature": 0.7, "top_k": 4, "top_p": 0.9, "max_new_tokens": 8}
    texts = (
        NewCompletion("of a model", model_version=old, sampling=drawn, ended=False),
        NewCompletion("of a person"),
        NewCompletion("nobody knows how", model_version=new),
    )
    for pair in ((0, 1), (2, 0)):
        pairs_create(
            campaign=campaign,
            purpose="training",
            pairs=[NewPair(prompt_id=prompt.pk, completions=tuple(texts[i] for i in pair))],
        )
    annotator = an_annotator(campaign)
    for _ in range(2):
        label_next(annotator, campaign, 2)
    known, unknown = Writer(str(old), 0.7, 4, 0.9, ended=False), Writer()
    wrote = {"of a model": known, "of a person": unknown, "nobody knows how": unknown}
    rows = stream(campaign, writers=True)
    assert len(rows) == 2
    for row in rows:
        assert row.writers == tuple(wrote[text] for text in row.completions)
    silent = stream(campaign)
    assert [row.writers for row in silent] == [(), ()]
    assert all("writers" not in row.to_json() for row in silent)


def test_a_snapshot_that_asks_for_criteria_has_the_steps_of_every_criterion():
    campaign = a_campaign()
    campaign.criteria.create(key="kind", name="Kind", position=1)
    some_pairs(campaign, 2, split="train")
    annotator = an_annotator(campaign)
    expected = {}
    for values in ({"overall": 2, "kind": 7}, {"overall": 6}):
        outcome = judgment_submit(
            rater=annotator,
            assignment_id=lease(annotator, campaign).assignment_id,
            answer=Answer(values=values),
            idempotency_key=str(uuid.uuid4()),
        )
        kind = {key: slot_value(outcome.assignment_id, v) for key, v in values.items()}
        expected[str(outcome.judgment_id)] = {k: v for k, v in kind.items() if k != "overall"}
    assert {row.id: row.criteria for row in stream(campaign, criteria=True)} == expected
    silent = stream(campaign)
    assert [row.criteria for row in silent] == [{}, {}]
    assert all("criteria" not in row.to_json() for row in silent)


def test_a_preference_row_says_which_slot_is_better_and_how_strongly():
    campaign = a_campaign()
    some_pairs(campaign, 8, split="validation")
    annotator = an_annotator(campaign)
    expected = {}
    for value in (1, 2, 3, 4, 5, 6, 7):
        outcome = label_next(annotator, campaign, value)
        expected[str(outcome.judgment_id)] = slot_value(outcome.assignment_id, value)
    rows = stream(campaign)
    assert {row.id: row.strength for row in rows} == expected
    for row in rows:
        better = 1.0 if row.strength < 4 else 0.0 if row.strength > 4 else 0.5
        assert (row.preference, row.weight, row.split) == (better, 1.0, "validation")
        assert row.completions[0].startswith("first")
        assert row.completions[1].startswith("second")
        assert (row.rater, row.source) == (annotator.pseudonym, "people")
        assert row.campaign == campaign.slug


def test_a_row_says_that_both_completions_are_bad_and_others_stay_as_they_were():
    campaign = a_campaign()
    some_pairs(campaign, 3, split="train")
    annotator = an_annotator(campaign)
    marked = {
        str(label_next(annotator, campaign, value, both_bad=bad).judgment_id): bad
        for value, bad in ((4, True), (2, True), (4, False))
    }
    rows = stream(campaign)
    assert {row.id: row.both_bad for row in rows} == marked
    for row in rows:
        document = row.to_json()
        assert document.get("both_bad") is (True if marked[row.id] else None)
        assert PreferenceRow.from_json(document) == row


def test_neither_gate_labels_nor_repeats_nor_evaluation_prompts_train():
    campaign = a_campaign(gate_share=0.3, repeat_share=0.3)
    some_pairs(campaign, 10, split="train")
    aside = some_pairs(campaign, 10, split="train")
    # As earlier releases let happen: pairs to learn from, on prompts that are kept for evaluation.
    Prompt.objects.filter(comparisons__in=aside).update(split="evaluation")
    some_pairs(campaign, 10, split="evaluation", purpose="gate", round_id=uuid.uuid4())
    annotator = an_annotator(campaign)
    while (held := queue_lease_next(rater=annotator, campaign=campaign)) is not None:
        submit(annotator, held.assignment_id)
    assert Comparison.objects.filter(purpose="repeat_of", judged=1).exists()
    rows = stream(campaign)
    trained = Judgment.objects.filter(pk__in=[row.id for row in rows])
    assert len(rows) == 10
    assert set(
        trained.values_list(
            "assignment__comparison__purpose", "assignment__comparison__prompt__split"
        )
    ) == {("training", "train")}
    assert facade.fresh_label_count(line_id=campaign.line, since=None) == 10


def test_what_was_taken_back_or_superseded_does_not_train():
    campaign = a_campaign()
    some_pairs(campaign, 2, split="train")
    annotator = an_annotator(campaign)
    undone, edited = label_next(annotator, campaign, 1), label_next(annotator, campaign, 1)
    judgment_undo(rater=annotator, assignment_id=undone.assignment_id)
    judgment_revise(
        rater=annotator,
        assignment_id=edited.assignment_id,
        answer=Answer(values={"overall": 4}),
        idempotency_key="edit",
    )
    assert [row.preference for row in stream(campaign)] == [0.5]


def test_an_excluded_rater_is_left_out_until_readmitted():
    campaign = a_campaign()
    some_pairs(campaign, 2, split="train")
    one, two = an_annotator(campaign), an_annotator(campaign)
    label_next(one, campaign)
    label_next(two, campaign)
    lead = person_create("lead", "lead")
    drawn = exclusion_drawn(campaign=campaign, rater=one)
    exclusion = exclusion_make(exclusion=drawn, reason="always left", actor=lead)
    assert [row.rater for row in stream(campaign)] == [two.pseudonym]
    exclusion_lift(exclusion=exclusion, actor=lead)
    assert len(stream(campaign)) == 2


def test_a_recipe_mixes_campaigns_by_weight_and_age():
    first = a_campaign(name="Old")
    second = a_campaign(name="New", line_id=first.line)
    annotator = a_simulation()
    for campaign in (first, second):
        some_pairs(campaign, 1, split="train")
        label_next(annotator, campaign)
    now = Judgment.objects.latest("created_at").created_at
    rows = stream(first, weights={"Old": 0.25})
    assert {row.campaign: row.weight for row in rows} == {first.slug: 0.25, second.slug: 1.0}
    later = (now + timedelta(days=20)).isoformat()
    aged = stream(first, recency_half_life_days=10, until=later, campaigns=("New",))
    assert [row.weight for row in aged] == [pytest.approx(0.25, rel=1e-6)]
    assert stream(first, until=(now - timedelta(days=1)).isoformat()) == []
    with pytest.raises(AnnotationError, match="'Newest'"):
        stream(first, campaigns=("Newest",))


def test_other_lines_stay_apart():
    campaign, other = a_campaign(), a_campaign()
    some_pairs(other, 1, split="train")
    label_next(a_simulation(), other)
    assert stream(campaign) == []
    assert facade.queue_status(line_id=campaign.line).done == 0


def test_gate_labels_come_once_per_comparison_in_order_of_submission():
    campaign = a_campaign()
    round_id, versions = uuid.uuid4(), (uuid.uuid4(), uuid.uuid4())
    some_pairs(campaign, 3, purpose="gate", round_id=round_id, versions=versions)
    annotator = an_annotator(campaign)
    outcomes = [label_next(annotator, campaign, value, both_bad=value == 4) for value in (1, 4, 6)]
    judgment_revise(
        rater=annotator,
        assignment_id=outcomes[0].assignment_id,
        answer=Answer(values={"overall": 2}),
        idempotency_key="edit",
    )
    labels = facade.gate_labels(round_id=round_id)
    assert [label.value for label in labels] == [
        slot_value(outcome.assignment_id, value)
        for outcome, value in zip(outcomes, (2, 4, 6), strict=True)
    ]
    assert [label.both_bad for label in labels] == [False, True, False]
    assert {label.slot_versions for label in labels} == {versions}
    assert all(label.texts[0].startswith("first") for label in labels)
    assert [label.at for label in labels] == sorted(label.at for label in labels)
    assert tuple(facade.gate_queue_status(round_id=round_id)) == (0, 0, 3)


def test_surplus_gate_labels_do_not_count():
    campaign = a_campaign()
    round_id = uuid.uuid4()
    some_pairs(campaign, 1, purpose="gate", round_id=round_id)
    annotator = an_annotator(campaign)
    held = lease(annotator, campaign)
    assert tuple(facade.gate_queue_status(round_id=round_id)) == (0, 1, 0)
    facade.gate_queue_close(round_id=round_id)
    submit(annotator, held.assignment_id)
    assert facade.gate_labels(round_id=round_id) == []


def test_overlap_votes_name_only_pairs_with_two_raters():
    campaign = a_campaign(overlap=2)
    some_pairs(campaign, 2)
    one, two = an_annotator(campaign), an_annotator(campaign)
    label_next(one, campaign)
    label_next(one, campaign)
    assert facade.overlap_votes(line_id=campaign.line) == []
    label_next(two, campaign)
    votes = facade.overlap_votes(line_id=campaign.line)
    assert {vote.rater for vote in votes} == {one.pseudonym, two.pseudonym}
    assert len({vote.comparison_id for vote in votes}) == 1
    tomorrow = timezone.now() + timedelta(days=1)
    assert facade.overlap_votes(line_id=campaign.line, since=tomorrow) == []
    assert facade.overlap_votes(line_id=campaign.line, until=tomorrow) == votes
    yesterday = timezone.now() - timedelta(days=1)
    assert facade.overlap_votes(line_id=campaign.line, until=yesterday) == []


def test_the_queue_status_counts_places_and_people():
    campaign = a_campaign(overlap=1)
    some_pairs(campaign, 3)
    some_pairs(campaign, 2, purpose="gate", round_id=uuid.uuid4())
    one, two = an_annotator(campaign), an_annotator(campaign)
    label_next(one, campaign)
    lease(two, campaign)
    status = facade.queue_status(line_id=campaign.line)
    assert (status.open_training, status.open_gate) == (1, 2)
    assert (status.leased, status.done, status.annotators) == (1, 1, 1)


def test_a_draw_of_prompts_depends_on_the_seed_alone():
    line = uuid.uuid4()
    prompts_ensure(
        line_id=line,
        prompts=[
            NewPrompt(messages=({"role": "user", "content": f"Q{n}"},), tags=("sum",))
            for n in range(60)
        ],
    )

    def drawn(seed, limit=None):
        rows = facade.prompts_stream(line_id=line, splits=("train",), limit=limit, seed=seed)
        return [row.id for row in rows]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1, limit=5) == drawn(1)[:5]
    assert len(drawn(1)) == Prompt.objects.filter(line=line, split="train").count()
    with pytest.raises(AnnotationError, match="split 'learn'"):
        list(facade.prompts_stream(line_id=line, splits=("learn",)))


def test_a_campaign_made_through_the_facade_is_open_and_takes_pairs():
    line_id = uuid.uuid4()
    made = facade.campaign_create(line_id=line_id, name="Desk", guidelines="Be fair.")
    (found,) = facade.line_campaigns(line_id=line_id)
    assert (found.id, found.state, found.guidelines) == (made, "active", 1)


def test_a_role_is_granted_once():
    ann = person_create("ann")
    for _ in range(2):
        facade.role_grant(user_id=ann.pk, role="lead")
    assert list(ann.memberships.values_list("role", "line")) == [("lead", None)]


def test_the_shares_of_new_prompts_may_be_chosen():
    line_id = uuid.uuid4()
    prompts = [NewPrompt(messages=({"role": "user", "content": f"{n}?"},)) for n in range(5)]
    ids = facade.prompts_create(line_id=line_id, prompts=prompts, shares={"test": 1.0})
    assert set(Prompt.objects.filter(pk__in=ids).values_list("split", flat=True)) == {"test"}
