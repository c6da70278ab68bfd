import pytest

from annotation.rows import PreferenceRow
from tests.support.tiny_models import TEXTS
from training.core.data.pairs import (
    group_held_out,
    labels_of,
    pair_encode,
    pairs_divide,
)
from training.core.data.tokenizers import word_tokenizer_learn
from training.core.run.errors import UserError


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer_learn(TEXTS, limit=300)


def pair(tokenizer, group, split="train", **changes):
    row = {
        "id": group,
        "group": group,
        "messages": ({"role": "user", "content": "How?"},),
        "completions": ("12.", "Use the kill command."),
        "preference": 1.0,
        "split": split,
        **changes,
    }
    return pair_encode(tokenizer, PreferenceRow(**row), 40)


def test_share_of_groups_is_held_out_and_stays_so():
    held = {f"g{i}" for i in range(4000) if group_held_out(f"g{i}", 0.25)}
    assert 0.22 < len(held) / 4000 < 0.28
    assert held < {f"g{i}" for i in range(4000) if group_held_out(f"g{i}", 0.5)}


def test_held_out_model_and_members_share_no_group(tokenizer):
    pairs = [
        pair(tokenizer, f"{split}{i % 40}", split)
        for split in ("train", "validation", "test")
        for i in range(80)
    ]
    division = pairs_divide(pairs, 0.25)

    def groups(pairs):
        return {p.row.group for p in pairs}

    members = groups(division.train) | groups(division.validation)
    held_out = groups(division.held_out) | groups(division.held_out_validation)
    assert members.isdisjoint(held_out)
    assert (members | held_out).isdisjoint(groups(division.test))
    assert sum(division.counts().values()) == 240
    assert division.counts()["test"] == 80


def test_group_on_two_sides_is_refused(tokenizer):
    with pytest.raises(UserError, match="'g' is in both 'train' and 'test'"):
        pairs_divide([pair(tokenizer, "g"), pair(tokenizer, "g", "test")], 0.25)


def test_too_few_groups_are_named(tokenizer):
    with pytest.raises(UserError, match="no training pairs for the"):
        pairs_divide([pair(tokenizer, "g")], 0.25)


def test_tensors_carry_labels_and_lengths(tokenizer):
    tensors = labels_of([pair(tokenizer, "g", preference=0.2, strength=6.0, weight=0.5)])
    assert tensors.preference.tolist() == pytest.approx([0.2])
    assert tensors.strength.tolist() == [6.0]
    assert tensors.weight.tolist() == [0.5]
    assert tensors.length_difference.tolist() == [2 - 5]
