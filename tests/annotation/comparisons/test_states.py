"""What stands in the rows after each move of a pair: its places, times, order, and what was said of it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from annotation.campaigns.services import (
    campaign_set_state,
    guidelines_acknowledge,
    guidelines_publish,
)
from annotation.comparisons import copying, digests
from annotation.comparisons.models import (
    Assignment,
    Comparison,
    Completion,
    GateQueue,
    Judgment,
    JudgmentValue,
    Prompt,
    RaterQueue,
    RetiredRoot,
    RootSplit,
)
from annotation.comparisons.records import Answer, NotYours
from annotation.comparisons.scale import value_turned
from annotation.comparisons.services import (
    assignment_park,
    assignment_reopen,
    assignment_skip,
    assignment_undo,
    budgets,
    draft_save,
    gate_labels_release,
    gate_queue_close,
    gate_queue_reopen,
    gold_item_of_pair,
    gold_item_replace,
    gold_item_retire,
    judgment_revise,
    judgment_submit,
    judgment_undo,
    lease_release,
    leases_give_back,
    leases_release_expired,
    overlap,
    overlap_apply,
    pair_settle,
    pair_unsettle,
    pairs_create,
    prompts_ensure,
    qualification_answer,
    qualification_begin,
    queue_lease_next,
    sensitive_opt_out,
)
from annotation.comparisons.services.material import queue_key, texts_ensure
from annotation.comparisons.services.overlap import overlap_sampled
from annotation.comparisons.services.queue import _purposes_drawn, places_drawn, sides_drawn
from annotation.comparisons.services.simulating import labels_simulate
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from tests.annotation.factories import (
    a_campaign,
    a_simulation,
    an_annotator,
    label_next,
    lease,
    some_pairs,
    some_rankings,
    submit,
)

pytestmark = pytest.mark.django_db
ASKED = ({"role": "user", "content": "Why?"},)


@pytest.fixture
def campaign():
    made = a_campaign(lease_minutes=30)
    some_pairs(made, 4)
    return made


def held_by(rater, campaign) -> Assignment:
    return Assignment.objects.get(pk=lease(rater, campaign).assignment_id)


def places(held: Assignment) -> tuple[int, int]:
    pair = Comparison.objects.get(pk=held.comparison_id)
    return pair.judged, pair.leased


def lasts(held: Assignment, minutes: int = 30) -> bool:
    """Whether the lease ends so many minutes from now, to half a minute."""
    assert held.lease_expires_at is not None
    left = held.lease_expires_at - timezone.now()
    return abs(left - timedelta(minutes=minutes)) < timedelta(seconds=30)


# ------------------------------------------------------------------------------ the queue


def test_which_slot_stands_left_is_drawn_by_pair_and_person():
    campaign = a_campaign()
    some_pairs(campaign, 16)
    rater = a_simulation()
    for _ in range(16):
        held = held_by(rater, campaign)
        assert held.shown_order == sides_drawn(held.comparison, rater)
        submit(rater, held.pk)


def test_a_rater_goes_on_from_where_they_were_and_then_once_round():
    campaign = a_campaign()
    some_pairs(campaign, 6)
    rater = an_annotator(campaign)
    keys = list(Comparison.objects.order_by("queue_key").values_list("queue_key", flat=True))
    for key in keys[:3]:
        held = held_by(rater, campaign)
        assert held.comparison.queue_key == key
        submit(rater, held.pk)
    behind: list[Comparison] = []
    while not behind:  # pairs that come in before the place that was reached
        behind = [pair for pair in some_pairs(campaign, 1) if pair.queue_key < keys[2]]
    (late,) = behind
    seen = []
    while queue_lease_next(rater=rater, campaign=campaign) is not None:
        held = held_by(rater, campaign)
        seen.append(held.comparison.queue_key)
        submit(rater, held.pk)
    assert seen[-1] == late.queue_key
    assert seen[:-1] == sorted(seen[:-1])
    assert seen[:-1] == [key for key in seen if key > keys[2]]


def test_leases_that_ran_out_are_freed_the_oldest_first_and_so_many_at_once():
    campaign = a_campaign()
    some_pairs(campaign, 3)
    held = [held_by(an_annotator(campaign), campaign) for _ in range(3)]
    for hours, each in zip((1, 3, 2), held, strict=True):
        past = timezone.now() - timedelta(hours=hours)
        Assignment.objects.filter(pk=each.pk).update(lease_expires_at=past)
    assert leases_release_expired(limit=1) == 1
    for each in held:
        each.refresh_from_db()
    assert [each.state for each in held] == ["leased", "expired", "leased"]
    assert leases_release_expired(limit=2) == 2
    assert [places(each) for each in held] == [(0, 0)] * 3


def test_a_pair_of_the_queue_has_its_time_and_the_guidelines_in_force(campaign, annotator):
    version = guidelines_publish(campaign=campaign, text="Be kind.")
    guidelines_acknowledge(rater=annotator, version=version)
    held = held_by(annotator, campaign)
    assert lasts(held)
    assert held.guideline_version == version
    assert places(held) == (0, 1)


def test_the_first_pair_of_two_tabs_at_once_is_no_error(campaign, annotator, monkeypatch):
    real = RaterQueue.objects.bulk_create

    def after_the_other_tab(rows, **options):
        RaterQueue.objects.create(rater=annotator, campaign=campaign)
        return real(rows, **options)

    monkeypatch.setattr(RaterQueue.objects, "bulk_create", after_the_other_tab)
    assert queue_lease_next(rater=annotator, campaign=campaign)
    assert RaterQueue.objects.get().leases == 1


def test_a_repeat_asks_once_more_about_one_of_the_twenty_before_the_last_ten():
    campaign = a_campaign(repeat_share=1.0)
    some_pairs(campaign, 34)
    rater = an_annotator(campaign)
    campaign.repeat_share = 0.0
    for _ in range(34):
        label_next(rater, campaign)
    campaign.repeat_share = 1.0
    order = Assignment.objects.order_by("-submitted_at").values_list("comparison", flat=True)
    window = list(order)[10:30]
    held = held_by(rater, campaign)
    pair = held.comparison
    assert pair.repeat_of_id in window
    assert (pair.purpose, pair.strategy, pair.wanted, pair.leased) == ("repeat_of", "repeat", 1, 1)
    original = pair.repeat_of
    same = ("campaign_id", "prompt_id", "pair_digest", "queue_key")
    assert [getattr(pair, name) for name in same] == [getattr(original, name) for name in same]


def test_budgets_that_are_used_up_are_told_of(monkeypatch):
    told = []
    monkeypatch.setattr(
        budgets, "campaign_tell", lambda campaign, kind, *, key: told.append((campaign, kind, key))
    )
    full, short, free, closed = (a_campaign(label_budget=budget) for budget in (1, 2, None, 1))
    for campaign in (full, short, free, closed):
        some_pairs(campaign, 2)
        label_next(an_annotator(campaign), campaign)
    campaign_set_state(campaign=closed, state="paused")
    budgets.budgets_tell()
    assert told == [(full, "campaign.finished", f"{full.pk} 1")]
    assert budgets.budget_answers([full.pk, short.pk]) == {full.pk: 1, short.pk: 1}


# ------------------------------------------------------------------------------ answers


def test_an_answer_takes_the_place_and_ends_the_draft(campaign, annotator):
    held = held_by(annotator, campaign)
    assignment_park(rater=annotator, assignment_id=held.pk, draft={"both_bad": True})
    held.refresh_from_db()
    assert (held.draft, held.parked_at is None) == ({"both_bad": True}, False)
    submit(annotator, held.pk)
    held.refresh_from_db()
    assert (held.state, held.draft, held.draft_saved_at, held.parked_at) == (
        "submitted", {}, None, None,
    )  # fmt: skip
    assert held.submitted_at is not None
    assert held.submitted_at == held.touched_at
    assert places(held) == (1, 0)


def test_what_counts_towards_a_budget_follows_answers_and_undos(campaign, annotator):
    def labels() -> int:
        return RaterQueue.objects.get(rater=annotator).labels

    held = held_by(annotator, campaign)
    assert labels() == 0
    submit(annotator, held.pk)
    assert labels() == 1
    judgment_revise(
        rater=annotator, assignment_id=held.pk, answer=Answer({"overall": 5}), idempotency_key="e"
    )
    assert labels() == 1
    judgment_undo(rater=annotator, assignment_id=held.pk)
    assert labels() == 0
    assert places(held) == (0, 1)


def test_an_undo_is_a_revision_and_its_draft_is_all_that_was_said(annotator):
    campaign = a_campaign(criteria=[("honest", "Honest")], lease_minutes=30)
    some_pairs(campaign, 1)
    rater = an_annotator(campaign)
    held = held_by(rater, campaign)
    said = Answer(
        values={"overall": 1, "honest": 6}, both_bad=True, flags=("unsafe:left", "refusal"),
        rationale="Both.", seconds=4.5, reasons=("brief", "safe"),
    )  # fmt: skip
    judgment_submit(rater=rater, assignment_id=held.pk, answer=said, idempotency_key="k")
    first = judgment_undo(rater=rater, assignment_id=held.pk, idempotency_key="u")
    again = judgment_undo(rater=rater, assignment_id=held.pk, idempotency_key="u")
    assert (again.judgment_id, first.repeated, again.repeated) == (first.judgment_id, False, True)
    held.refresh_from_db()
    assert held.draft == {
        "values": {"overall": 1, "honest": 6}, "both_bad": True, "flags": ["unsafe:left", "refusal"],
        "rationale": "Both.", "seconds": 4.5, "reasons": ["brief", "safe"],
        "spans": [],
    }  # fmt: skip
    assert (held.state, held.submitted_at, held.draft_saved_at) == (
        "leased", None, held.touched_at,
    )  # fmt: skip
    assert held.draft_saved_at is not None
    assert lasts(held)
    given, withdrawn = Judgment.objects.order_by("revision")
    assert (given.active, given.superseded_at is None, given.withdrawn) == (False, False, False)
    assert (withdrawn.active, withdrawn.withdrawn, withdrawn.surplus) == (False, True, False)
    assert (withdrawn.revision, withdrawn.idempotency_key) == (2, "u")


@pytest.mark.parametrize(
    ("seconds", "kept"), [(None, None), (-3.0, 0.0), (12.5, 12.5), (86_401.0, 86_400.0)]
)
def test_seconds_are_kept_within_a_day(campaign, annotator, seconds, kept):
    submit(annotator, lease(annotator, campaign).assignment_id, seconds=seconds)
    assert Judgment.objects.get().seconds == kept


def test_flags_and_reasons_are_kept_once_in_the_order_given(campaign, annotator):
    held = held_by(annotator, campaign)
    first, second = held.shown_order
    submit(
        annotator, held.pk, flags=("unsafe:right", "refusal", "unsafe:right", "unsafe:left"),
        reasons=("safe", "brief", "safe"), rationale="  So.  ",
    )  # fmt: skip
    stored = Judgment.objects.get()
    assert stored.flags == [
        {"key": "unsafe", "slot": second},
        {"key": "refusal", "slot": None},
        {"key": "unsafe", "slot": first},
    ]
    assert (stored.reasons, stored.rationale) == (["safe", "brief"], "So.")
    assert JudgmentValue.objects.count() == 1


# ------------------------------------------------------------------------- coming back


def test_a_skip_frees_the_place_and_comes_back_with_a_whole_lease(campaign, annotator):
    held = held_by(annotator, campaign)
    assignment_park(rater=annotator, assignment_id=held.pk, draft={})
    assignment_skip(rater=annotator, assignment_id=held.pk, reason=" Too long. ")
    held.refresh_from_db()
    assert (held.state, held.skip_reason, held.parked_at) == ("skipped", "Too long.", None)
    assert places(held) == (0, 0)
    Assignment.objects.filter(pk=held.pk).update(lease_expires_at=None)
    assignment_undo(rater=annotator, assignment_id=held.pk)
    held.refresh_from_db()
    assert (held.state, held.skip_reason) == ("leased", "")
    assert lasts(held)
    assert places(held) == (0, 1)


def test_a_parked_pair_is_opened_with_a_whole_lease_and_holds_one_place(campaign, annotator):
    held = held_by(annotator, campaign)
    assignment_park(rater=annotator, assignment_id=held.pk, draft={})
    soon = timezone.now() + timedelta(minutes=1)
    Assignment.objects.filter(pk=held.pk).update(lease_expires_at=soon)
    assert assignment_reopen(rater=annotator, assignment_id=held.pk)
    held.refresh_from_db()
    assert (held.state, held.parked_at) == ("leased", None)
    assert lasts(held)
    assert places(held) == (0, 1)
    submit(annotator, held.pk)
    assert not assignment_reopen(rater=annotator, assignment_id=held.pk)  # answered it stays
    assert places(held) == (1, 0)


def test_who_opts_out_keeps_what_they_hold_elsewhere(campaign, annotator):
    other = a_campaign(line_id=campaign.line)
    some_pairs(other, 1)
    here, there = held_by(annotator, campaign), held_by(annotator, other)
    sensitive_opt_out(rater=annotator, campaign=campaign)
    assert (places(here), places(there)) == ((0, 0), (0, 1))


# ------------------------------------------------------------ gold, settling, the test


def test_a_gold_item_that_is_retired_holds_nobody_and_takes_no_late_answer(campaign):
    gold = a_campaign(gold_share=1.0, line_id=campaign.line)
    (pair,) = some_pairs(gold, 1)
    item = gold_item_of_pair(comparison=pair, gold_value=1)
    assert (item.wanted, item.strategy, item.prompt) == (32_767, "gold", pair.prompt)
    assert item.queue_key == digests.uniform("queue", "gold", item.pair_digest)
    answered, holding = an_annotator(gold), an_annotator(gold)
    label_next(answered, gold)
    held = held_by(holding, gold)
    gold_item_retire(comparison=item)
    held.refresh_from_db()
    assert (held.state, held.lease_expires_at, places(held)) == ("expired", None, (1, 0))
    assert submit(holding, held.pk).surplus
    assert Judgment.objects.filter(active=True, surplus=False).count() == 1


def test_a_gold_item_is_replaced_by_one_of_the_same_texts(campaign):
    pair = Comparison.objects.filter(campaign=campaign)[0]
    item = gold_item_of_pair(comparison=pair, gold_value=1, tolerance=1, explanation="Old.")
    made = gold_item_replace(comparison=item, gold_value=6, tolerance=0, explanation=" New. ")
    item.refresh_from_db()
    assert item.closed_at is not None
    assert (made.gold_value, made.gold_tolerance, made.gold_explanation) == (6, 0, "New.")
    assert (made.pair_digest, made.campaign, made.closed_at) == (item.pair_digest, campaign, None)


def test_the_adjudicator_s_answer_stands_in_slot_order_and_ends_with_the_settling(campaign):
    pair = Comparison.objects.filter(campaign=campaign)[0]
    rater = an_annotator(campaign)
    settled = pair_settle(rater=rater, comparison=pair, value=7, both_bad=True, reason=" Neither. ")
    judgment = settled.judgment
    assert (judgment.surplus, judgment.both_bad, judgment.rationale) == (True, True, "Neither.")
    assert judgment.values.get().value == 7
    held = judgment.assignment
    assert (held.state, held.shown_order, held.lease_expires_at) == ("settled", [1, 2], None)
    assert held.submitted_at is not None
    assert places(held) == (0, 0)
    pair_unsettle(adjudication=settled, actor="lea")
    settled.refresh_from_db()
    judgment.refresh_from_db()
    assert (judgment.active, judgment.superseded_at) == (False, settled.lifted_at)
    again = pair_settle(rater=rater, comparison=pair, value=2, reason="The first.")
    assert (again.judgment.assignment, again.judgment.revision) == (held, 2)


def test_a_test_shows_each_item_once_and_either_way_round():
    campaign = a_campaign(qualification_items=16)
    for pair in some_pairs(campaign, 16):
        gold_item_of_pair(comparison=pair, gold_value=2)
    answers = qualification_begin(rater=an_annotator(campaign), campaign=campaign).answers
    shown = list(answers.order_by("position").values_list("position", "comparison"))
    assert [position for position, _ in shown] == list(range(1, 17))
    assert len({item for _, item in shown}) == 16
    orders = {tuple(order) for order in answers.values_list("shown_order", flat=True)}
    assert orders == {(1, 2), (2, 1)}  # all one way once in 32,768 times


# ----------------------------------------------------------------------------- material


def test_a_closed_gate_holds_nobody_and_an_open_one_asks_what_is_left():
    campaign, round_id = a_campaign(gate_share=1.0), uuid.uuid4()
    some_pairs(campaign, 3, purpose="gate", round_id=round_id)
    label_next(an_annotator(campaign), campaign)
    held = held_by(an_annotator(campaign), campaign)
    assert gate_queue_close(round_id=round_id) == 2
    held.refresh_from_db()
    assert (held.state, places(held)) == ("expired", (0, 0))
    pairs = Comparison.objects.filter(round_id=round_id)
    assert pairs.filter(closed_at=None).count() == 0
    assert GateQueue.objects.get().closed_at is not None
    assert gate_queue_reopen(round_id=round_id) == 2
    assert pairs.filter(closed_at=None).count() == 2
    assert pairs.filter(open=True).count() == 2
    assert GateQueue.objects.get().closed_at is None
    gate_queue_close(round_id=round_id)
    released = gate_labels_release(line_id=campaign.line, round_ids=[round_id])
    assert (released.rounds, released.labels, released.roots) == (1, 1, 1)
    assert gate_queue_reopen(round_id=round_id) == 0
    assert pairs.filter(closed_at=None).count() == 0
    assert gate_queue_reopen(round_id=uuid.uuid4()) == 0


def test_what_a_program_wrote_is_stored_as_it_wrote_it(campaign):
    prompt = Comparison.objects.filter(campaign=campaign)[0].prompt
    version = uuid.uuid4()
    written = NewCompletion(
        "Because.", model_version=version, artifact_sha256="ab" * 32,
        sampling={"temperature": 0.7}, seed=5, tokens=3, ended=False,
    )  # fmt: skip
    pair = NewPair(prompt.pk, (written, NewCompletion("So.")), strategy="random", probability=0.25)
    make = {"campaign": campaign, "purpose": "training", "source": "file.csv"}
    assert pairs_create(pairs=[pair, pair], **make) == 1
    assert pairs_create(pairs=[pair], **make) == 0
    made = Comparison.objects.get(source="file.csv")
    assert (made.strategy, made.probability, made.round_id) == ("random", 0.25, None)
    assert made.queue_key == digests.uniform("queue", "training", made.pair_digest)
    first, second = (slot.completion for slot in made.slots.order_by("position"))
    names = ("text", "model_version", "artifact_sha256", "sampling", "seed", "tokens", "ended")
    assert [getattr(first, name) for name in names] == [getattr(written, name) for name in names]
    assert first.text_sha256 == digests.text_digest("Because.")
    assert (second.text, second.model_version) == ("So.", None)
    for asked in (first, second):
        assert asked.prompt == prompt


def test_a_prompt_is_stored_as_it_came_under_an_id_that_line_and_text_give():
    line = uuid.uuid4()
    new = NewPrompt(
        messages=ASKED, source="import", external_id="7", tags=("a", "b"), split="validation"
    )
    first, again = prompts_ensure(line_id=line, prompts=[new, new])
    assert first == again
    assert first.pk == uuid.uuid5(line, first.digest)
    stored = Prompt.objects.get()
    assert (stored.messages, stored.source, stored.external_id, stored.tags, stored.split) == (
        list(ASKED), "import", "7", ["a", "b"], "validation",
    )  # fmt: skip
    assert stored.root_hash == digests.root_hash(ASKED, new.group)
    assert not first._state.adding
    (elsewhere,) = prompts_ensure(line_id=uuid.uuid4(), prompts=[new])
    assert elsewhere.pk != first.pk


def test_what_somebody_else_stores_at_the_same_moment_is_taken_as_it_is(monkeypatch):
    line, theirs, real = uuid.uuid4(), uuid.uuid4(), copying.rows_copy
    root = digests.root_hash(ASKED, "")
    digest = digests.prompt_digest(ASKED, root)

    def after_them(model, names, records):
        if model is RootSplit:
            RootSplit.objects.get_or_create(
                line=line, root_hash=root, defaults={"split": "validation"}
            )
        elif model is Prompt:
            Prompt.objects.get_or_create(
                line=line, digest=digest,
                defaults={
                    "id": theirs, "messages": list(ASKED), "root_hash": root, "split": "validation"
                },
            )  # fmt: skip
        elif not Completion.objects.exists():
            Completion.objects.create(
                id=theirs, prompt_id=theirs, text="So.", text_sha256=digests.text_digest("So.")
            )
        real(model, names, records)

    monkeypatch.setattr(copying, "rows_copy", after_them)
    (found,) = prompts_ensure(line_id=line, prompts=[NewPrompt(messages=ASKED, split="train")])
    assert (found.pk, found.split) == (theirs, "validation")
    texts = texts_ensure(texts=[(theirs, "So."), (theirs, "Or not.")])
    assert texts[0].id == theirs
    assert texts[1].id != theirs
    assert set(Completion.objects.values_list("text", flat=True)) == {"So.", "Or not."}


# ----------------------------------------------------------------------------- simulated


def test_simulated_raters_take_the_campaigns_in_order_and_leave_rankings_alone():
    line = uuid.uuid4()
    one, two = a_campaign(line_id=line), a_campaign(line_id=line)
    ranks = a_campaign(line_id=line, answers=3)
    some_rankings(ranks, 1)
    for each in (one, two):
        some_pairs(each, 1)
    given: list[int] = []
    done = labels_simulate(
        campaign_ids=[ranks.pk, two.pk, one.pk],
        names=["sim"],
        wanted=5,
        judge=lambda name, shown: Answer({"overall": 3}),
        report=given.append,
    )
    assert (done, given) == (2, [1, 2])
    order = Assignment.objects.order_by("submitted_at")
    assert [held.comparison.campaign for held in order] == [two, one]
    keys = [f"simulated-{held.pk}" for held in order]
    assert (
        list(Judgment.objects.order_by("created_at").values_list("idempotency_key", flat=True))
        == keys
    )


def test_what_a_simulated_rater_leaves_is_skipped_with_the_reason():
    campaign = a_campaign()
    some_pairs(campaign, 1)
    labels_simulate(
        campaign_ids=[campaign.pk],
        names=["sim"],
        wanted=1,
        judge=lambda name, shown: None,
        report=lambda n: None,
    )
    held = Assignment.objects.get()
    assert (held.state, held.skip_reason) == ("skipped", "Left to people.")


# ------------------------------------------------------------------- several people, several campaigns


def test_each_of_two_people_takes_a_place_of_a_pair_and_gives_it_back():
    campaign = a_campaign(overlap=2)
    some_pairs(campaign, 1)
    one, two = an_annotator(campaign), an_annotator(campaign)
    first = held_by(one, campaign)
    assert places(first) == (0, 1)
    second = held_by(two, campaign)
    assert places(first) == (0, 2)
    submit(one, first.pk)
    assert places(first) == (1, 1)
    submit(two, second.pk)
    assert places(first) == (2, 0)
    judgment_undo(rater=two, assignment_id=second.pk)
    assert places(first) == (1, 1)
    assignment_skip(rater=two, assignment_id=second.pk, reason="r")
    assert places(first) == (1, 0)


def test_two_people_may_send_the_same_key_and_one_may_undo_twice(campaign, annotator):
    other, answer = an_annotator(campaign), Answer({"overall": 2})
    for rater in (annotator, other):
        held = held_by(rater, campaign)
        judgment_submit(rater=rater, assignment_id=held.pk, answer=answer, idempotency_key="k")
    assert Judgment.objects.filter(active=True).count() == 2
    following = held_by(annotator, campaign)
    submit(annotator, following.pk)
    for held in Assignment.objects.filter(rater=annotator):
        judgment_undo(rater=annotator, assignment_id=held.pk)
    assert Judgment.objects.filter(withdrawn=True).count() == 2


def test_nobody_answers_a_pair_of_somebody_else_with_one_of_their_own_in_hand(campaign, annotator):
    other = an_annotator(campaign)
    theirs, mine = held_by(other, campaign), held_by(annotator, campaign)
    for act in (
        lambda: submit(annotator, theirs.pk),
        lambda: draft_save(rater=annotator, assignment_id=theirs.pk, draft={"both_bad": True}),
        lambda: assignment_skip(rater=annotator, assignment_id=theirs.pk, reason="r"),
    ):
        with pytest.raises(NotYours):
            act()
    for held in (theirs, mine):
        held.refresh_from_db()
        assert (held.state, held.draft) == ("leased", {})


def test_what_was_settled_is_no_pair_of_the_adjudicator_s_to_change(campaign):
    rater = an_annotator(campaign)
    pair = Comparison.objects.filter(campaign=campaign)[0]
    held = pair_settle(rater=rater, comparison=pair, value=1, reason="r").judgment.assignment
    for act in (
        lambda: judgment_undo(rater=rater, assignment_id=held.pk),
        lambda: draft_save(rater=rater, assignment_id=held.pk, draft={}),
    ):
        with pytest.raises(NotYours):
            act()


def test_each_campaign_hands_out_its_own_pairs(campaign, annotator):
    other = a_campaign(line_id=campaign.line)
    (pair,) = some_pairs(other, 1)
    here = held_by(annotator, campaign)
    there = held_by(annotator, other)
    assert (here.comparison.campaign, there.comparison) == (campaign, pair)
    leases_give_back(rater=annotator, campaign=campaign, assignment_ids=[here.pk, there.pk])
    there.refresh_from_db()
    assert there.state == "leased"
    submit(annotator, there.pk)
    assert queue_lease_next(rater=annotator, campaign=other) is None


# ------------------------------------------------------------------------------ leases


def test_an_answer_stays_one_when_its_lease_would_have_run_out_or_is_given_back(
    campaign, annotator
):
    held = held_by(annotator, campaign)
    submit(annotator, held.pk)
    past = timezone.now() - timedelta(hours=1)
    Assignment.objects.filter(pk=held.pk).update(lease_expires_at=past)
    assert leases_release_expired() == 0
    leases_give_back(rater=annotator, campaign=campaign, assignment_ids=[held.pk])
    held.refresh_from_db()
    assert (held.state, places(held)) == ("submitted", (1, 0))


def test_a_lead_takes_away_the_pair_that_was_meant(campaign, annotator):
    first, second = held_by(annotator, campaign), held_by(an_annotator(campaign), campaign)
    lease_release(assignment=second)
    for held in (first, second):
        held.refresh_from_db()
    assert (first.state, second.state) == ("leased", "expired")


def test_one_who_asks_frees_fifty_leases_of_others_and_no_more():
    campaign = a_campaign()
    pairs = some_pairs(campaign, 53)
    away, past = an_annotator(campaign), timezone.now() - timedelta(hours=1)
    Assignment.objects.bulk_create(
        Assignment(comparison=pair, rater=away, shown_order=[1, 2], lease_expires_at=past)
        for pair in pairs
    )
    Comparison.objects.update(leased=1)
    assert lease(an_annotator(campaign), campaign)
    assert Assignment.objects.filter(state="expired").count() == 50


def test_a_reload_renews_the_time_and_keeps_the_guidelines(campaign, annotator):
    version = guidelines_publish(campaign=campaign, text="Be kind.")
    guidelines_acknowledge(rater=annotator, version=version)
    first = lease(annotator, campaign)
    held = Assignment.objects.get(pk=first.assignment_id)
    assert first.expires_at == held.lease_expires_at
    soon = timezone.now() + timedelta(minutes=1)
    Assignment.objects.filter(pk=held.pk).update(lease_expires_at=soon)
    again = lease(annotator, campaign)
    held.refresh_from_db()
    assert (again.assignment_id, again.expires_at) == (held.pk, held.lease_expires_at)
    assert lasts(held)
    assert held.guideline_version == version
    submit(annotator, held.pk)
    assert judgment_undo(rater=annotator, assignment_id=held.pk)
    versions = Judgment.objects.values_list("guideline_version", flat=True)
    assert list(versions) == [version.pk] * 2


def test_a_draft_and_an_edit_say_when_they_were(campaign, annotator):
    held = held_by(annotator, campaign)
    long_ago = timezone.now() - timedelta(days=1)
    Assignment.objects.filter(pk=held.pk).update(touched_at=long_ago)
    saved = draft_save(rater=annotator, assignment_id=held.pk, draft={})
    held.refresh_from_db()
    assert held.draft_saved_at == held.touched_at == saved
    submit(annotator, held.pk)
    Assignment.objects.filter(pk=held.pk).update(touched_at=long_ago)
    judgment_revise(
        rater=annotator, assignment_id=held.pk, answer=Answer({"overall": 5}), idempotency_key="e"
    )
    held.refresh_from_db()
    assert held.touched_at is not None
    assert held.touched_at > saved


def test_a_late_answer_is_withdrawn_as_the_surplus_that_it_was(campaign):
    away = an_annotator(campaign)
    held = held_by(away, campaign)
    Assignment.objects.filter(pk=held.pk).update(lease_expires_at=timezone.now())
    leases_release_expired()
    Comparison.objects.update(wanted=0)
    assert submit(away, held.pk).surplus
    assert judgment_undo(rater=away, assignment_id=held.pk).surplus
    held.refresh_from_db()
    assert (held.state, places(held)) == ("expired", (0, 0))


# ------------------------------------------------------------------------------ repeats


def test_a_repeat_is_for_one_person_and_each_pair_comes_once_more():
    campaign = a_campaign(repeat_share=1.0)
    some_pairs(campaign, 60)
    one, two = an_annotator(campaign), an_annotator(campaign)
    again: dict[str, list[uuid.UUID]] = {"one": [], "two": []}
    for _ in range(24):
        for name, rater in (("one", one), ("two", two)):
            held = held_by(rater, campaign)
            original = held.comparison.repeat_of
            if original is not None:
                again[name].append(original.pk)
                assert original.assignments.filter(rater=rater, state="submitted").exists()
            submit(rater, held.pk)
    for had in again.values():
        assert len(had) > 5
        assert len(set(had)) == len(had)
    assert not set(again["one"]) & set(again["two"])


def test_a_repeat_that_was_given_back_waits_for_its_person_in_its_campaign():
    campaign = a_campaign(repeat_share=1.0)
    other = a_campaign(repeat_share=1.0, line_id=campaign.line)
    some_pairs(campaign, 30)
    some_pairs(other, 1)
    rater, colleague = an_annotator(campaign), an_annotator(campaign)
    for _ in range(11):
        label_next(rater, campaign)
    held = held_by(rater, campaign)
    assert held.comparison.purpose == "repeat_of"
    leases_give_back(rater=rater, campaign=campaign, assignment_ids=[held.pk])
    assert held_by(colleague, campaign).comparison.purpose == "training"
    assert held_by(rater, other).comparison.campaign == other
    assert held_by(rater, campaign) == held
    submit(rater, held.pk)
    assert held_by(rater, campaign) != held


# ------------------------------------------------------------------------------ draws


SIDES = "112121212212"
ORDERS = [[3, 1, 4, 2], [2, 1, 3, 4], [2, 4, 3, 1], [4, 3, 2, 1]]
KINDS = [
    "training", "repeat_of", "training", "repeat_of", "gate", "gate", "training", "training", "gold",
    "training", "repeat_of", "gate",
]  # fmt: skip
KEY = 0.322585623280061
SAMPLED = [True, True, True, True, False, True, True, True]


def test_what_is_drawn_stays_the_same_over_releases():
    """A seeded run repeats after an upgrade: sides, places, kinds and order follow from these values."""
    rater = SimpleNamespace(pseudonym="rater-1")
    pairs = [SimpleNamespace(pair_digest=f"d{n}", purpose="training") for n in range(12)]
    sides = "".join(str(sides_drawn(pair, rater)[0]) for pair in pairs)  # type: ignore[arg-type]
    assert sides == SIDES
    orders = [places_drawn(pair, rater, 4) for pair in pairs[:4]]  # type: ignore[arg-type]
    assert orders == ORDERS
    shares = {"gate_share": 0.2, "gold_share": 0.2, "repeat_share": 0.2}
    campaign = SimpleNamespace(slug="help-desk", **shares)
    kinds = [
        _purposes_drawn(SimpleNamespace(leases=n), rater, campaign)[0]  # type: ignore[arg-type]
        for n in range(12)
    ]
    assert kinds == KINDS
    assert queue_key("d0", "training") == pytest.approx(KEY)
    sampled = SimpleNamespace(overlap_sample_share=0.5)
    assert [overlap_sampled(sampled, f"d{n}") for n in range(8)] == SAMPLED  # type: ignore[arg-type]


# --------------------------------------------------------------- the test, overlap, releasing


def test_each_person_takes_a_test_of_their_own_in_each_campaign():
    line = uuid.uuid4()
    campaign, other = (a_campaign(line_id=line, qualification_items=2) for _ in range(2))
    for each in (campaign, other):
        for pair in some_pairs(each, 3):
            gold_item_of_pair(comparison=pair, gold_value=2)
    one, two = an_annotator(campaign), an_annotator(campaign)
    tries = [
        qualification_begin(rater=rater, campaign=each)
        for rater, each in ((one, campaign), (two, campaign), (one, other))
    ]
    assert [(made.rater, made.campaign, made.number) for made in tries] == [
        (one, campaign, 1), (two, campaign, 1), (one, other, 1),
    ]  # fmt: skip
    assert [made.answers.filter(comparison__campaign=made.campaign).count() for made in tries] == [
        2, 2, 2,
    ]  # fmt: skip
    assert qualification_answer(attempt=tries[0], position=1, value=7) is None
    values = tries[0].answers.order_by("position").values_list("value", flat=True)
    assert [value is None for value in values] == [False, True]
    assert qualification_answer(attempt=tries[0], position=2, value=1) in (True, False)
    tries[0].refresh_from_db()
    assert tries[0].finished_at is not None
    assert tries[1].answers.filter(value=None).count() == 2


def test_all_pairs_of_a_campaign_are_decided_over_in_parts_and_counted(monkeypatch):
    monkeypatch.setattr(overlap, "CHUNK", 2)
    line = uuid.uuid4()
    campaign, other = a_campaign(overlap=3, line_id=line), a_campaign(overlap=3, line_id=line)
    for each in (campaign, other):
        some_pairs(each, 5)
        for rater in (a_simulation(), a_simulation()):
            for _ in range(5):
                held = held_by(rater, each)
                submit(rater, held.pk, value_turned(2, held.shown_order))
        each.overlap_sure, each.overlap_most = 0.8, 5
        each.save()
    assert overlap_apply(campaign=campaign) == (0, 5)
    assert Comparison.objects.filter(campaign=campaign, open=True).count() == 0
    assert Comparison.objects.filter(campaign=other, open=True).count() == 5
    campaign.overlap_sure = 0.95
    campaign.save()
    assert overlap_apply(campaign=campaign) == (5, 0)
    assert overlap_apply(campaign=campaign) == (0, 0)


def test_labels_are_released_by_line_and_a_prompt_is_retired_once():
    campaign, elsewhere = a_campaign(gate_share=1.0), a_campaign(gate_share=1.0)
    first, second, foreign = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    (pair,) = some_pairs(campaign, 1, purpose="gate", round_id=first)
    again = NewPair(
        pair.prompt_id, (NewCompletion("x", uuid.uuid4()), NewCompletion("y", uuid.uuid4()))
    )
    pairs_create(campaign=campaign, purpose="gate", round_id=second, pairs=[again])
    some_pairs(elsewhere, 1, purpose="gate", round_id=foreign)
    for each, count in ((campaign, 2), (elsewhere, 1)):
        rater = an_annotator(each)
        for _ in range(count):
            label_next(rater, each)
    for round_id in (first, second, foreign):
        gate_queue_close(round_id=round_id)
    of_line = {"line_id": campaign.line}
    assert gate_labels_release(round_ids=[first, foreign], **of_line).labels == 1
    released = gate_labels_release(round_ids=[first, second], **of_line)
    assert (released.rounds, released.labels, released.roots) == (1, 1, 1)
    (root,) = RetiredRoot.objects.all()
    assert (root.line, root.root_hash) == (campaign.line, pair.prompt.root_hash)
    assert root.retired_at is not None
    kept = dict(GateQueue.objects.values_list("round_id", "released_at"))
    assert [kept[each] is None for each in (first, second, foreign)] == [False, False, True]
