from dataclasses import replace

import numpy as np
import pytest

from annotation.rows import PromptRow
from evaluation.contracts import EvaluatePolicyConfig, SamplePair
from evaluation.core.comparison import Side, policy_compare
from evaluation.core.completions import DrawnCompletion
from evaluation.core.highlights import highlights_pick

CONFIG = EvaluatePolicyConfig(bootstrap_resamples=200)
COUNT = 60
IDS = [f"p{i}" for i in range(COUNT)]


def side(seed: int, shift: float = 0.0, words: int = 40, spread: float = 1.0) -> Side:
    rng = np.random.default_rng(seed)
    completions = []
    for _ in range(COUNT):
        tokens = tuple(rng.integers(0, words, rng.integers(6, 14)).tolist())
        completions.append(DrawnCompletion((1,), tokens, tokens, str(tokens), True, 0))
    noise = rng.normal(size=COUNT)
    return Side(completions, noise + shift, noise + shift / 2, np.full(COUNT, spread))


def compare(candidate: Side, incumbent: Side, *, identical: bool = False, **sides: Side):
    return policy_compare(
        {"candidate": candidate, "incumbent": incumbent, **sides},
        kl={"reference": np.full(COUNT, 2.0), "incumbent": np.zeros(COUNT)},
        prompt_ids=IDS,
        groups=IDS,
        config=CONFIG,
        seed=1,
        identical=identical,
    )


def test_the_same_side_twice_differs_by_exactly_nothing():
    found = compare(side(1), side(1), identical=True)
    assert found.aa_difference == 0.0
    for gain in (found.train_gain, found.held_out_gain):
        assert (gain.low, gain.estimate, gain.high) == (0.0, 0.0, 0.0)
    assert found.length_ratio.high == found.length_ratio.low == 1.0
    assert found.diversity["distinct_2"].low == 1.0
    assert found.length_free_share is None
    assert found.train_win_rate is not None
    assert found.train_win_rate.estimate == 0.5


def test_identical_weights_with_any_difference_are_caught():
    other = replace(side(1), held_out=side(1).held_out + 1e-9)
    found = compare(other, side(1), identical=True)
    assert found.aa_difference is not None
    assert 0 < found.aa_difference < 1e-8
    assert compare(side(2), side(1), identical=False).aa_difference is None


def test_gains_are_the_mean_differences_of_the_scores():
    found = compare(side(1, shift=0.8), side(1))
    assert found.train_gain.estimate == pytest.approx(0.8)
    assert found.held_out_gain.estimate == pytest.approx(0.4)
    assert found.train_gain.n == COUNT
    assert found.kl["reference"].estimate == pytest.approx(2.0)


def test_a_narrow_candidate_has_a_low_diversity_ratio():
    assert compare(side(1, words=4), side(2)).diversity["distinct_2"].high < 0.5


def test_ensemble_disagreement_is_against_the_reference_where_there_is_one():
    found = compare(side(1, spread=3.0), side(2), reference=side(3, spread=2.0))
    assert found.ensemble_std_ratio is not None
    assert found.ensemble_std_ratio.estimate == pytest.approx(1.5)
    assert set(found.sides) == {"candidate", "incumbent", "reference"}
    alone = replace(side(1), spread=None)
    assert compare(alone, replace(side(2), spread=None)).ensemble_std_ratio is None


def test_a_candidate_that_writes_nothing_is_measured_and_has_collapsed():
    empty = Side(
        [DrawnCompletion((1,), (0,), (), "", True, 0)] * COUNT, side(1).train, side(1).held_out
    )
    found = compare(empty, side(2))
    assert found.diversity["distinct_2"].high == 0.0
    assert found.sides["candidate"].tokens_median == 0.0


def test_diversity_within_prompts_needs_several_samples_of_a_prompt():
    assert "distinct_2_within" not in compare(side(1), side(2)).diversity
    pairs = [f"p{i // 2}" for i in range(COUNT)]
    found = policy_compare(
        {"candidate": side(1, words=3), "incumbent": side(2)},
        kl={"reference": np.zeros(COUNT)},
        prompt_ids=pairs,
        groups=pairs,
        config=CONFIG,
        seed=1,
        identical=False,
    )
    assert found.prompts == COUNT // 2
    assert found.diversity["distinct_2_within"].high < 1


def test_highlights_show_wins_losses_and_gaps_of_different_prompts():
    rows = [PromptRow(i, ({"role": "user", "content": i},)) for i in IDS]
    candidate, incumbent = side(1), side(2)
    held = np.zeros(COUNT)
    held[[4, 9]], held[7] = [3.0, 2.0], -4.0
    train = held.copy()
    train[11] = 5.0
    candidate = replace(candidate, held_out=held, train=train)
    incumbent = replace(incumbent, held_out=np.zeros(COUNT), train=np.zeros(COUNT))
    found = highlights_pick(
        {"candidate": candidate, "incumbent": incumbent},
        rows,
        kl=np.arange(COUNT, dtype=np.float64),
    )
    shown = [(pair.kind, pair.prompt_id) for pair in found]
    assert shown == [
        ("best_win", "p4"),
        ("best_win", "p9"),
        ("worst_loss", "p7"),
        ("largest_gap", "p11"),
    ]
    assert found[0].candidate.kl == 4.0
    assert all(SamplePair.from_json(pair.to_json()) == pair for pair in found)
