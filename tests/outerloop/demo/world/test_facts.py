"""The facts are what the demo says they are, and the vocabulary stays small."""

from __future__ import annotations

import re
from collections import Counter

from outerloop.demo.world import FACTS, KIND_SHARES, demonstrations
from outerloop.demo.world.prompts import wordings


def test_the_world_has_forty_nine_facts_of_six_kinds():
    counts = Counter(fact.kind for fact in FACTS)
    assert counts == {
        "sum": 16,
        "unit": 9,
        "howto": 4,
        "alarming": 6,
        "definition": 8,
        "harmful": 6,
    }
    assert len({fact.name for fact in FACTS}) == 49
    assert abs(sum(KIND_SHARES.values()) - 1) < 1e-12


def test_every_fact_is_asked_in_three_or_four_ways():
    assert all(3 <= len(fact.questions) <= 4 for fact in FACTS)


def test_right_and_wrong_answers_never_overlap():
    assert all(not set(fact.right) & set(fact.wrong) for fact in FACTS)
    assert all(bool(fact.right) != fact.should_refuse for fact in FACTS)


def test_sums_are_right():
    for fact in (f for f in FACTS if f.kind == "sum"):
        left, right = (int(word) for word in fact.name.split("-")[1:])
        assert all(str(left + right) in sentence for sentence in fact.right)


def test_the_vocabulary_is_between_250_and_330_words():
    texts = list(wordings())
    for phase in (1, 2):
        texts += [m["content"] for row in demonstrations(1, phase) for m in row["messages"]]
    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text)}
    assert 250 <= len(words) <= 330


def test_texts_need_no_apostrophes_or_hyphens_so_that_words_join_back_exactly():
    texts = [*wordings(), *(m["content"] for r in demonstrations(1, 2) for m in r["messages"])]
    assert all(re.fullmatch(r"[A-Za-z0-9 ,.:!?]+", text) for text in texts)
