"""Prompts: distinct, in the stated mix, the same for the same seed, apart from demonstrations."""

from __future__ import annotations

from collections import Counter

import pytest

from outerloop.demo.world import KIND_SHARES, demonstrations, fact_asked, prompts


def test_three_thousand_prompts_are_distinct_and_in_the_stated_mix():
    drawn = prompts(1, 3000)
    assert len({p.text for p in drawn}) == 3000
    assert len({p.external_id for p in drawn}) == 3000
    counts = Counter(p.kind for p in drawn)
    assert counts == {kind: round(3000 * share) for kind, share in KIND_SHARES.items()}


def test_a_mix_that_does_not_come_out_even_still_has_the_asked_number():
    assert all(len(prompts(1, n)) == n for n in (0, 1, 7, 49))


def test_the_same_seed_gives_the_same_prompts_and_another_seed_others():
    assert prompts(1, 50) == prompts(1, 50)
    assert prompts(1, 50) != prompts(2, 50)


def test_campaign_prompts_are_never_demonstrated():
    shown = {row["messages"][0]["content"] for phase in (1, 2) for row in demonstrations(2, phase)}
    assert not shown & {p.text for p in prompts(2, 3000)}


def test_a_prompt_leads_back_to_its_fact():
    for prompt in prompts(3, 200):
        assert fact_asked(prompt.messages).name == prompt.fact


def test_after_a_comma_the_question_goes_on_in_lower_case():
    texts = [p.text for p in prompts(1, 2000)]
    assert any(text.startswith("Hi, how do I ") for text in texts)
    assert not any(text.startswith("Hi, How") for text in texts)


def test_asking_for_too_many_prompts_names_the_kind_that_runs_out():
    with pytest.raises(ValueError, match=r"too few prompts of kind '\w+'"):
        prompts(1, 12_000)


def test_a_strange_prompt_is_refused_by_name():
    with pytest.raises(ValueError, match="does not know this prompt: 'What is love\\?'"):
        fact_asked([{"role": "user", "content": "What is love?"}])
