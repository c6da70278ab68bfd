"""The best-of-n curve of a reward model: worked out by hand on two prompts, and where it is bounded."""

import math

import numpy as np
import pytest

from annotation.rows import PromptRow
from evaluation.contracts import EvaluatePolicyConfig
from evaluation.core.best_of_n import curve_measure, curve_places


def test_both_curves_and_the_step_between_are_means_over_prompts():
    train = np.array([[0.0, 1.0], [2.0, 4.0]])
    held_out = np.array([[5.0, 3.0], [1.0, 2.0]])
    found = curve_measure(train, held_out, level=0.95)
    assert (found.prompts, found.completions) == (2, 2)
    one, two = found.points
    assert (one.n, one.kl_bound, one.held_out_step) == (1, 0.0, None)
    assert (one.train.estimate, one.held_out.estimate) == (1.75, 2.75)
    assert two.n == 2
    assert two.kl_bound == pytest.approx(math.log(2) - 0.5)
    assert (two.train.estimate, two.held_out.estimate) == (2.5, 2.5)  # 1 and 4; 3 and 2
    step = two.held_out_step
    assert step is not None
    assert step.estimate == pytest.approx(-0.25)  # 3 - 4 and 2 - 1.5, paired by prompt
    t = 12.706  # of one degree of freedom at 97.5 %
    assert step.high - step.estimate == pytest.approx(t * 0.75, rel=1e-3)  # sd / sqrt(2) = 0.75
    assert step.n == 2


def test_a_proxy_that_is_the_held_out_model_loses_nothing_on_the_way():
    scores = np.random.default_rng(3).normal(size=(20, 8))
    found = curve_measure(scores, scores, level=0.95)
    assert [point.n for point in found.points] == [1, 2, 4, 8]
    for point in found.points:
        assert point.train == point.held_out
        assert point.held_out_step is None or point.held_out_step.estimate > 0


def test_it_takes_one_prompt_of_each_group_and_no_more_than_asked():
    prompts = [PromptRow(f"p{i}", (), group=f"g{i // 2}") for i in range(6)]
    assert curve_places(prompts, 32) == [0, 2, 4]
    assert curve_places(prompts, 2) == [0, 2]
    assert curve_places([PromptRow("a", ()), PromptRow("b", ())], 32) == [0, 1]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"best_of_n": 1}, "best_of_n must be 2 or more, or 0"),
        ({"best_of_n": -4}, "best_of_n must be 2 or more, or 0"),
        ({"best_of_n_prompts": 1}, "best_of_n_prompts must be at least 2"),
        ({"past_rounds": -1}, "past_rounds must be at least 0"),
        ({"past_prompts": 1}, "past_prompts must be at least 2"),
    ],
)
def test_settings_that_measure_nothing_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        EvaluatePolicyConfig(**wrong)
