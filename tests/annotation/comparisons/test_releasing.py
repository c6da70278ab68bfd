"""Gate labels train after the decision, never before, and their prompts are never judged on again."""

from __future__ import annotations

import uuid
from importlib import import_module

import pytest
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotation import facade
from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons import uses
from annotation.comparisons.models import Comparison, Exclusion, Prompt, RetiredRoot
from annotation.comparisons.services import (
    gate_labels_release,
    gate_queue_close,
    gate_queue_reopen,
    pairs_create,
    prompts_ensure,
)
from annotation.comparisons.uses import label_shares, label_shares_renew, label_uses
from annotation.comparisons.wear import evaluation_prompt_count, gate_prompts, prompt_wear
from annotation.contracts import (
    AnnotationError,
    NewCompletion,
    NewPair,
    NewPrompt,
    SnapshotRecipe,
)
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> Campaign:
    return a_campaign(gate_share=1.0)


def asked(campaign: Campaign, pairs: int, labels: int) -> uuid.UUID:
    """A round whose gate offers so many pairs, of which so many are labelled."""
    round_id = uuid.uuid4()
    some_pairs(campaign, pairs, purpose="gate", round_id=round_id)
    for _ in range(labels):
        label_next(an_annotator(campaign), campaign)
    return round_id


def release(campaign: Campaign, *rounds: uuid.UUID) -> int:
    return gate_labels_release(line_id=campaign.line, round_ids=rounds).labels


def learned(campaign: Campaign):
    return list(facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe()))


def judged_on(campaign: Campaign) -> set[str]:
    rows = gate_prompts(line_id=campaign.line, round_id=uuid.uuid4(), limit=1000, seed=1)
    found = {row.id for row in rows}
    streamed = facade.prompts_stream(line_id=campaign.line, splits=("evaluation",))
    assert {row.id for row in streamed} == found
    assert evaluation_prompt_count(line_id=campaign.line) == len(found)
    assert prompt_wear(line_id=campaign.line).prompts == len(found)
    return found


def test_labels_train_once_they_are_released_and_their_prompts_are_drawn_no_more(campaign):
    round_id = asked(campaign, pairs=5, labels=3)
    assert (learned(campaign), len(judged_on(campaign))) == ([], 5)
    gate_queue_close(round_id=round_id)
    assert learned(campaign) == []
    assert release(campaign, round_id) == 3
    rows = learned(campaign)
    assert [(row.purpose, row.split) for row in rows] == [("gate", "train")] * 3
    labelled = Comparison.objects.filter(round_id=round_id, judged=1)
    assert {row.group for row in rows} == {c.prompt.root_hash for c in labelled}
    assert judged_on(campaign) == {
        str(c.prompt_id) for c in Comparison.objects.filter(round_id=round_id, judged=0)
    }
    assert facade.fresh_label_count(line_id=campaign.line, since=None) == 3
    assert label_uses(line_id=campaign.line) == {"released": 3}
    assert release(campaign, round_id) == 0


def test_pairs_that_are_still_with_people_are_not_released(campaign):
    round_id = asked(campaign, pairs=2, labels=1)
    with pytest.raises(AnnotationError, match=f"round {round_id} are still with people"):
        release(campaign, round_id)
    assert (learned(campaign), len(judged_on(campaign))) == ([], 2)


def test_the_label_of_an_undecided_round_on_a_retired_prompt_does_not_train(campaign):
    first = asked(campaign, pairs=1, labels=1)
    gate_queue_close(round_id=first)
    prompt = Comparison.objects.get(round_id=first).prompt
    second, version = uuid.uuid4(), uuid.uuid4()
    texts = (NewCompletion("later", version), NewCompletion("other", version))
    pairs_create(
        campaign=campaign, purpose="gate", round_id=second, pairs=[NewPair(prompt.pk, texts)]
    )
    label_next(an_annotator(campaign), campaign)
    assert release(campaign, first) == 1
    (row,) = learned(campaign)
    assert row.completions[0].startswith("first answer")
    assert label_uses(line_id=campaign.line) == {"released": 1, "gate": 1}


def test_a_released_root_conversation_is_retired_whole_and_for_ever(campaign):
    """Siblings that were there and those that come later: one root lies on one side."""
    root = {"role": "user", "content": "Question?"}
    longer = (root, {"role": "assistant", "content": "A."}, {"role": "user", "content": "And?"})

    def stored(messages) -> Prompt:
        new = [NewPrompt(messages, split="evaluation")]
        return prompts_ensure(line_id=campaign.line, prompts=new)[0]

    prompt, sibling = stored((root,)), stored(longer)
    round_id, version = uuid.uuid4(), uuid.uuid4()
    texts = (NewCompletion("one", version), NewCompletion("two", version))
    pairs_create(
        campaign=campaign, purpose="gate", round_id=round_id, pairs=[NewPair(prompt.pk, texts)]
    )
    label_next(an_annotator(campaign), campaign)
    assert judged_on(campaign) == {str(prompt.pk), str(sibling.pk)}
    gate_queue_close(round_id=round_id)
    release(campaign, round_id)
    assert judged_on(campaign) == set()
    stored((*longer, {"role": "assistant", "content": "B."}, {"role": "user", "content": "So?"}))
    assert judged_on(campaign) == set()


def test_a_rater_who_is_taken_in_again_brings_no_label_on_a_prompt_that_is_still_drawn(campaign):
    round_id = asked(campaign, pairs=1, labels=1)
    gate_queue_close(round_id=round_id)
    exclusion = Exclusion.objects.create(
        line=campaign.line, rater=Rater.objects.get(), reason="Away.", excluded_by="lea"
    )
    assert release(campaign, round_id) == 0
    assert (learned(campaign), judged_on(campaign)) == ([], set())
    Exclusion.objects.filter(pk=exclusion.pk).update(lifted_at=timezone.now(), lifted_by="lea")
    assert (len(learned(campaign)), judged_on(campaign)) == (1, set())


def test_a_released_gate_is_not_opened_again(campaign):
    round_id = asked(campaign, pairs=2, labels=1)
    gate_queue_close(round_id=round_id)
    release(campaign, round_id)
    assert gate_queue_reopen(round_id=round_id) == 0
    assert facade.gate_queue_status(round_id=round_id).open == 0


def test_the_lines_of_others_are_left_alone(campaign):
    round_id = asked(campaign, pairs=1, labels=1)
    gate_queue_close(round_id=round_id)
    assert release(a_campaign(), round_id) == 0
    assert learned(campaign) == []


def test_a_pair_to_learn_from_is_refused_on_a_prompt_that_is_kept_for_evaluation(campaign):
    with pytest.raises(AnnotationError, match="kept for evaluation"):
        some_pairs(campaign, 1, split="evaluation")
    assert not Comparison.objects.exists()


def test_what_becomes_of_labels_is_told_apart(campaign):
    campaign.gate_share = 0.0
    campaign.save()
    for split in ("train", "validation", "test", "train"):
        some_pairs(campaign, 1, split=split)
        label_next(an_annotator(campaign), campaign)
    aside = Prompt.objects.filter(split="train")[0]
    Prompt.objects.filter(pk=aside.pk).update(split="evaluation")  # as earlier releases let happen
    other = a_campaign(line_id=campaign.line)
    some_pairs(other, 1)
    label_next(an_annotator(other), other)
    assert label_uses(line_id=campaign.line) == {"train": 2, "held_out": 2, "evaluation": 1}
    assert label_uses(line_id=campaign.line, campaigns=[other.pk]) == {"train": 1}


def test_a_page_counts_the_same_and_keeps_a_slow_count(campaign, monkeypatch):
    some_pairs(campaign, 1, split="test")
    campaign.gate_share = 0.0
    campaign.save()
    label_next(an_annotator(campaign), campaign)
    found = label_shares(line_id=campaign.line)
    assert (found.train, found.released, found.held_out, found.aside) == (0, 0, 1, ())
    assert found.chosen == (("at random", 1),)
    monkeypatch.setattr(uses, "SLOW", -1.0)
    label_shares(line_id=campaign.line)
    some_pairs(campaign, 1)
    label_next(an_annotator(campaign), campaign)
    assert label_shares(line_id=campaign.line).train == 0
    cache.clear()
    assert label_shares(line_id=campaign.line).train == 1
    cache.clear()


def test_a_page_says_what_chose_the_pairs_of_the_labels_that_are_learned_from(campaign):
    campaign.gate_share = 0.0
    campaign.save()
    some_pairs(campaign, 4)
    pairs = list(Comparison.objects.order_by("pk"))
    named = ("random", "random", "expected_information", "an importer's own")
    for pair, strategy in zip(pairs, named, strict=True):
        Comparison.objects.filter(pk=pair.pk).update(strategy=strategy)
    person = an_annotator(campaign)
    for _ in pairs:
        label_next(person, campaign)
    found = label_shares(line_id=campaign.line)
    assert dict(found.chosen) == {
        "at random": 2, "by expected information": 1, "an importer's own": 1,
    }  # fmt: skip
    assert found.chosen[0] == ("at random", 2)
    assert {row.strategy for row in learned(campaign)} == set(named)


def test_a_sweep_counts_anew_what_was_asked_for_and_is_old(campaign, monkeypatch):
    cache.clear()
    monkeypatch.setattr(uses, "SLOW", -1.0)
    asked, one = {"line_id": campaign.line}, {"line_id": campaign.line, "campaigns": [campaign.pk]}
    for place in (asked, one):
        label_shares(**place)  # counted, and kept
    label_shares(**asked)
    campaign.gate_share = 0.0
    campaign.save()
    some_pairs(campaign, 1, split="train")
    label_next(an_annotator(campaign), campaign)
    assert label_shares_renew() == 0  # it is of now
    monkeypatch.setattr(uses, "OLD", 0)
    assert label_shares_renew() == 1
    assert (label_shares(**asked).train, label_shares(**one).train) == (1, 0)
    label_shares(**asked)
    some_pairs(campaign, 1, split="train")
    label_next(an_annotator(campaign), campaign)
    monkeypatch.setattr(uses, "SLOW", 3600.0)
    assert label_shares(**asked).train == 1
    label_shares_renew()  # quick by now: counted at every look
    assert label_shares(**asked).train == 2
    cache.clear()


def test_what_is_retired_stays_so(campaign):
    round_id = asked(campaign, pairs=1, labels=1)
    gate_queue_close(round_id=round_id)
    release(campaign, round_id)
    with pytest.raises(IntegrityError, match="retired for ever"), transaction.atomic():
        RetiredRoot.objects.all().delete()
    with pytest.raises(IntegrityError, match="retired for ever"), transaction.atomic():
        RetiredRoot.objects.update(root_hash="other")


def test_the_upgrade_asks_nobody_any_more_where_a_label_would_train_nothing(campaign):
    campaign.gate_share = 0.0
    campaign.save()
    aside, kept = some_pairs(campaign, 1)[0], some_pairs(campaign, 1)[0]
    Prompt.objects.filter(comparisons=aside).update(split="evaluation")
    gate = some_pairs(campaign, 1, purpose="gate", round_id=uuid.uuid4())[0]
    upgrade = import_module("annotation.comparisons.migrations.0010_retired_roots")
    with connection.cursor() as cursor:
        cursor.execute(upgrade.ASKED_FOR_NOTHING)
    open_now = Comparison.objects.filter(open=True).values_list("pk", flat=True)
    assert set(open_now) == {kept.pk, gate.pk}
