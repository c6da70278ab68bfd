"""A ranking as a batch element: put together from its pairs, weighed, and learned from."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from annotation.rows import RankingPart
from tests.training.core.reward.pairs import pair_of
from training.contracts import ModelSource, RewardModelConfig
from training.core.reward.batches import elements_of, pair_batch
from training.core.reward.contrasts import cross_prompt_rows
from training.core.reward.planning import division_of
from training.core.reward.rankings import ranking_batch, ranking_loss
from training.core.run.errors import UserError
from web.json_contract import ContractError

TEXTS = {"aa": 2, "bbb": 1, "c": 2, "dddd": 3}
SCORES = {"aa": 0.3, "bbb": -0.5, "c": 1.1, "dddd": 0.0, "x": 0.4, "y": 0.9}


def ranking(name="r", weight=1.0, **changes):
    """All six pairs of four texts, as a snapshot has them."""
    return [
        pair_of(
            a,
            b,
            id=f"{name}:{a}-{b}",
            preference=0.5 + 0.5 * ((TEXTS[a] < TEXTS[b]) - (TEXTS[a] > TEXTS[b])),
            weight=weight / 3,
            part=RankingPart(name, 4, (TEXTS[a], TEXTS[b])),
            **changes,
        )
        for a, b in itertools.combinations(TEXTS, 2)
    ]


def scores_of(rows):
    return torch.tensor([SCORES["".join(map(chr, row))] for row in rows], dtype=torch.float64)


def test_the_pairs_of_a_ranking_are_one_element_and_a_lone_pair_is_another():
    pairs = [*ranking("r", 0.5), pair_of("x", "y"), *ranking("s")]
    elements = elements_of(pairs, "pairs", "plackett_luce")
    assert [len(element) for element in elements] == [6, 1, 6]
    batch = ranking_batch(elements)
    assert ["".join(map(chr, row)) for row in batch.rows] == [*TEXTS, "x", "y", *TEXTS]
    assert batch.rankings[0].levels == (2, 1, 2, 3)
    assert batch.weight.tolist() == pytest.approx([0.5, 1.0, 1.0])


def test_the_loss_is_that_of_the_whole_order_and_of_bradley_terry_for_a_pair():
    batch = ranking_batch(
        elements_of([*ranking(), pair_of("x", "y", preference=0.2)], "pairs", "plackett_luce")
    )
    found = ranking_loss(scores_of(batch.rows), batch, centering=0.0)
    worth = {text: math.exp(score) for text, score in SCORES.items()}

    def cost(*order):
        stages = (
            worth[one] / sum(worth[other] for other in order[n:]) for n, one in enumerate(order)
        )
        return -math.log(math.prod(stages))

    both = (cost("bbb", "aa", "c", "dddd") + cost("bbb", "c", "aa", "dddd")) / 2
    pair = 0.2 * math.log1p(math.exp(0.5)) + 0.8 * math.log1p(math.exp(-0.5))
    assert found.loss.tolist() == pytest.approx([both, pair], abs=1e-7)
    # in order: aa > dddd and c > dddd, of five untied pairs; y above x with 0.8
    assert found.correct.tolist() == pytest.approx([2 / 5, 1.0])
    centred = ranking_loss(scores_of(batch.rows), batch, centering=0.1)
    middles = [sum(SCORES[text] for text in TEXTS) / 4, (0.4 + 0.9) / 2]
    penalties = (centred.loss - found.loss).tolist()
    assert penalties == pytest.approx([0.4 * m**2 for m in middles], abs=1e-7)


def test_a_ranking_by_prompts_weighs_as_one_element():
    elements = elements_of([*ranking(), pair_of("x", "y", prompt="other")], "prompts")
    weight = pair_batch(elements).labels.weight
    assert weight[:6].sum().item() == pytest.approx(1)
    assert weight[6].item() == 1


def test_its_pairs_one_by_one_weigh_half_the_number_of_answers():
    weight = pair_batch(elements_of(ranking(), "pairs")).labels.weight
    assert weight.sum().item() == pytest.approx(4 / 2)


def test_a_pair_across_prompts_is_part_of_no_ranking():
    rows = [pair.row for pair in [*ranking(), *ranking("s", prompt="other")]]
    assert all(row.part is None for row in cross_prompt_rows(rows, share=1.0, seed=1))


def test_posteriors_of_rankings_are_refused():
    config = RewardModelConfig(backbone=ModelSource(kind="fresh"), labels="posterior")
    with pytest.raises(UserError, match="pairs of a ranking are none"):
        division_of(ranking(), config)


@pytest.mark.parametrize(
    "setting",
    [{"ties": "davidson"}, {"margin_scale": 0.3}, {"label_smoothing": 0.1}, {"labels": "vote_shares"},
     {"batch_by": "prompts"}, {"label_updating": 0.5}],
)  # fmt: skip
def test_what_belongs_to_pairs_contradicts_the_loss_of_whole_rankings(setting):
    with pytest.raises(ContractError, match="plackett_luce"):
        RewardModelConfig(backbone=ModelSource(kind="fresh"), loss="plackett_luce", **setting)


def test_a_part_is_read_with_its_levels_checked():
    with pytest.raises(ValueError, match="two levels from 1 to 4"):
        RankingPart("r", 4, (1, 5))
    with pytest.raises(ValueError, match="3 or more"):
        RankingPart("r", 2, (1, 2))
