"""Fresh means fresh: which evaluation prompts a round's gate gets, and how worn they are."""

from __future__ import annotations

import uuid
from collections import Counter

import pytest
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Comparison, Prompt
from annotation.comparisons.services import gate_queue_close, pairs_create, prompts_ensure
from annotation.comparisons.wear import evaluation_prompt_count, gate_prompts, prompt_wear
from annotation.contracts import NewCompletion, NewPair, NewPrompt, PromptWear
from tests.annotation.factories import a_campaign, a_simulation, label_next

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> Campaign:
    return a_campaign(gate_share=1.0)


@pytest.fixture
def prompts(campaign: Campaign) -> list[Prompt]:
    asked = [({"role": "user", "content": f"Question {n}?"},) for n in range(30)]
    new = [NewPrompt(messages=m, split="evaluation") for m in asked]
    other = NewPrompt(messages=({"role": "user", "content": "To learn from?"},), split="train")
    return prompts_ensure(line_id=campaign.line, prompts=[*new, other])[:30]


def offer(campaign: Campaign, prompts: list[Prompt], *, same: int = 0) -> uuid.UUID:
    """A round's gate pairs on these prompts, the first `same` of two equal texts."""
    round_id, versions = uuid.uuid4(), (uuid.uuid4(), uuid.uuid4())
    pairs = [
        NewPair(
            prompt.pk,
            (
                NewCompletion("one", versions[0]),
                NewCompletion("one" if n < same else "two", versions[1]),
            ),
        )
        for n, prompt in enumerate(prompts)
    ]
    pairs_create(campaign=campaign, purpose="gate", pairs=pairs, round_id=round_id)
    return round_id


def label(campaign: Campaign, count: int) -> None:
    for _ in range(count):
        label_next(a_simulation(), campaign)


def drawn(campaign: Campaign, limit: int, *, of: uuid.UUID | None = None, seed: int = 1):
    rows = gate_prompts(line_id=campaign.line, round_id=of or uuid.uuid4(), limit=limit, seed=seed)
    return [uuid.UUID(row.id) for row in rows]


def test_prompts_are_drawn_by_the_seed_from_the_evaluation_split_alone(campaign, prompts):
    ids = {prompt.pk for prompt in prompts}
    assert set(drawn(campaign, 99)) == ids
    first = drawn(campaign, 10)
    assert first == drawn(campaign, 10) == drawn(campaign, 20)[:10]
    assert first != drawn(campaign, 10, seed=2)
    row = next(gate_prompts(line_id=campaign.line, round_id=uuid.uuid4(), limit=1, seed=1))
    prompt = Prompt.objects.get(pk=row.id)
    assert (row.messages, row.group) == (tuple(prompt.messages), prompt.root_hash)


def test_what_an_earlier_gate_has_shown_comes_after_all_that_none_has(campaign, prompts):
    round_id = offer(campaign, prompts[:20])
    label(campaign, 20)
    gate_queue_close(round_id=round_id)  # whatever became of the round
    shown = {prompt.pk for prompt in prompts[:20]}
    order = drawn(campaign, 30)
    assert not set(order[:10]) & shown
    assert set(order[10:]) == shown
    assert set(drawn(campaign, 30, of=round_id)[:10]) != set(order[:10])  # its own do not wear it


def test_pairs_that_nobody_was_given_are_as_fresh_as_before(campaign, prompts):
    offer(campaign, prompts)
    assert prompt_wear(line_id=campaign.line) == PromptWear(prompts=30, fresh=30)
    label(campaign, 4)
    assert prompt_wear(line_id=campaign.line) == PromptWear(prompts=30, fresh=26)


def test_the_least_used_come_next_and_of_those_the_longest_unused(campaign, prompts):
    for which in (slice(0, 10), slice(10, 20), slice(0, 10), slice(20, 30)):
        offer(campaign, prompts[which])
        label(campaign, 10)
        Comparison.objects.update(closed_at=timezone.now())
    order = drawn(campaign, 30)
    tens = [{prompt.pk for prompt in prompts[i : i + 10]} for i in (10, 20, 0)]
    assert [set(order[i : i + 10]) for i in (0, 10, 20)] == tens


def test_equal_texts_wear_their_prompts_as_the_pairs_around_them_do(campaign, prompts):
    """Or they alone would be left, and later rounds would be judged on prompts that tell nothing."""
    round_id = offer(campaign, prompts, same=15)
    label(campaign, 6)
    pairs = list(Comparison.objects.filter(round_id=round_id).order_by("queue_key"))
    last = max(n for n, pair in enumerate(pairs) if pair.judged)
    used = {pair.prompt_id for pair in pairs[: last + 1]}
    assert Counter(pair.wanted for pair in pairs[: last + 1])[1] == 6
    assert len(used) > 6
    assert set(drawn(campaign, 30 - len(used))) == {prompt.pk for prompt in prompts} - used
    assert prompt_wear(line_id=campaign.line).fresh == 30 - len(used)


def test_wear_counts_the_prompts_asked_about_that_another_round_has_shown(campaign, prompts):
    first = offer(campaign, prompts[:5])
    label(campaign, 5)
    second = offer(campaign, prompts[3:9])
    label(campaign, 6)
    asked = [prompt.pk for prompt in prompts[3:9]]
    found = prompt_wear(line_id=campaign.line, round_id=second, asked=asked)
    assert found == PromptWear(prompts=30, fresh=21, seen_before=2)
    assert prompt_wear(line_id=campaign.line, round_id=first, asked=asked).seen_before == 6


def test_another_line_s_gates_wear_nothing_here(campaign, prompts):
    other = a_campaign(gate_share=1.0)
    (asked,) = prompts_ensure(
        line_id=other.line,
        prompts=[NewPrompt(messages=tuple(prompts[0].messages), split="evaluation")],
    )
    offer(other, [asked])
    label(other, 1)
    assert prompt_wear(line_id=campaign.line) == PromptWear(prompts=30, fresh=30)
    assert evaluation_prompt_count(line_id=other.line) == 1
