import math

import pytest
import torch

from tests.training.core.reward.pairs import pair_of
from training.core.reward.batches import element_lengths, elements_of, pair_batch
from training.core.reward.objective import LossSettings, pair_loss

SCORES = {"aa": 0.3, "bbb": -0.5, "c": 1.1, "dd": 0.0}


def three_way():
    """All pairs of three completions of one prompt, and one pair of another prompt."""
    return [
        pair_of("aa", "bbb", prompt="x", weight=1.0),
        pair_of("dd", "c", prompt="y", preference=0.0, weight=2.0),
        pair_of("aa", "c", prompt="x", preference=0.0, weight=1.0),
        pair_of("bbb", "c", prompt="x", preference=0.0, weight=0.5),
    ]


def loss_of(batch):
    scores = torch.tensor(
        [SCORES["".join(map(chr, row))] for row in batch.rows], dtype=torch.float64
    )
    result = pair_loss(scores[batch.first], scores[batch.second], batch.labels, LossSettings())
    return (result.loss * batch.labels.weight).sum() / batch.labels.weight.sum()


def test_completions_of_a_prompt_are_encoded_once():
    elements = elements_of(three_way(), "prompts")
    assert [len(element) for element in elements] == [3, 1]
    batch = pair_batch(elements)
    assert ["".join(map(chr, row)) for row in batch.rows] == ["aa", "bbb", "c", "dd"]
    assert batch.first.tolist() == [0, 0, 1, 3]
    assert batch.second.tolist() == [1, 2, 2, 2]
    assert element_lengths(elements) == [3, 2]


def test_all_pairs_of_a_prompt_weigh_as_one_element():
    # Ouyang 2022, Eq. 1: the sum over the pairs of a prompt is divided by their number
    def cost(better, worse):
        return math.log1p(math.exp(SCORES[worse] - SCORES[better]))

    of_x = (cost("aa", "bbb") + cost("c", "aa") + 0.5 * cost("c", "bbb")) / 3
    of_y = 2.0 * cost("c", "dd")
    expected = (of_x + of_y) / ((1 + 1 + 0.5) / 3 + 2)
    found = loss_of(pair_batch(elements_of(three_way(), "prompts")))
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_two_completions_a_prompt_make_the_ordinary_loss():
    pairs = [pair_of("aa", "bbb", prompt="x"), pair_of("c", "dd", prompt="y", preference=0.2)]
    by_pair = pair_batch(elements_of(pairs, "pairs"))
    by_prompt = pair_batch(elements_of(pairs, "prompts"))
    assert by_pair.rows == by_prompt.rows
    assert loss_of(by_pair).item() == pytest.approx(loss_of(by_prompt).item(), abs=1e-12)
    plain = [math.log1p(math.exp(-0.8)), 0.2 * math.log1p(math.exp(-1.1))]
    plain[1] += 0.8 * math.log1p(math.exp(1.1))
    assert loss_of(by_pair).item() == pytest.approx(sum(plain) / 2, abs=1e-6)


def test_no_pair_of_a_large_prompt_is_dropped():
    pairs = [pair_of(f"a{i}", f"b{i}") for i in range(140)]
    elements = elements_of(pairs, "prompts")
    assert [len(element) for element in elements] == [66, 66, 8]
    assert [pair for element in elements for pair in element] == pairs
