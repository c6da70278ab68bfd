import dataclasses
import json
import math

import pytest
import torch

from tests.support.tiny_models import TEXTS, tiny_classifier
from tests.training.core.reward.independent import rao_kupper_by_strengths
from training.core.model.loading import model_save
from training.core.reward.scoring import combine, reward_model_load
from training.core.run.errors import UserError

PROMPT = [{"role": "user", "content": "What is 7 plus 5?"}]
CONVERSATIONS = [(PROMPT, text) for text in TEXTS]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    path = tmp_path_factory.mktemp("reward")
    for i in range(2):
        model_save(tiny_classifier(seed=i), path / f"member_{i}")
    settings = {
        "members": [
            {"path": "member_0", "mean": 0.5, "std": 2.0},
            {"path": "member_1", "mean": -1.0, "std": 0.5},
        ],
        "max_length": 64,
    }
    (path / "ensemble.json").write_text(json.dumps(settings))
    return path


def test_score_depends_neither_on_batch_nor_on_order(artifact):
    model = reward_model_load(artifact)
    together = model.score(CONVERSATIONS).raw
    one_by_one = model.score(CONVERSATIONS, batch_size=1).raw
    backwards = model.score(CONVERSATIONS[::-1], batch_size=3).raw.flip(1)
    assert torch.allclose(together, one_by_one, atol=1e-5)
    assert torch.allclose(together, backwards, atol=1e-5)
    assert together.std() > 0.01


def test_members_are_put_on_a_common_scale(artifact):
    scores = reward_model_load(artifact).score(CONVERSATIONS)
    assert torch.allclose(scores.normalised[0], (scores.raw[0] - 0.5) / 2)
    assert torch.allclose(scores.normalised[1], (scores.raw[1] + 1) / 0.5)
    assert torch.allclose(scores.spread, (scores.normalised[0] - scores.normalised[1]).abs() / 2)


def test_combinations_by_hand():
    scores = torch.tensor([[1.0, 4.0], [3.0, 4.0]])
    assert combine(scores, "mean").tolist() == [2.0, 4.0]
    assert combine(scores, "worst").tolist() == [1.0, 4.0]
    assert combine(scores, "mean_minus_variance", 0.5).tolist() == [1.5, 4.0]


@pytest.mark.parametrize("how", ["mean", "worst", "mean_minus_variance"])
def test_combinations_by_the_formulas_of_the_paper(how):
    rows = [[0.3, -1.2, 2.0], [0.9, -0.8, 2.0], [-0.6, 0.4, 2.0]]
    expected = []
    for scores in zip(*rows, strict=True):
        mean = sum(scores) / 3
        variance = sum((s - mean) ** 2 for s in scores) / 3
        formulas = {"mean": mean, "worst": min(scores)}
        expected.append(formulas.get(how, mean - 0.7 * variance))
    found = combine(torch.tensor(rows, dtype=torch.float64), how, 0.7)
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_without_caution_or_company_every_combination_is_the_mean():
    three, one = torch.randn(3, 50), torch.randn(1, 50)
    torch.testing.assert_close(combine(three, "mean_minus_variance", 0.0), three.mean(0))
    for how in ("mean", "worst", "mean_minus_variance"):
        torch.testing.assert_close(combine(one, how, 0.9), one[0], atol=1e-6, rtol=0)


def test_win_odds_are_calibrated_by_the_stored_temperature(artifact):
    model = reward_model_load(artifact)
    settings = dataclasses.replace(model.settings, temperature=2.0)
    difference = torch.tensor([0.0, 1.0, -3.0])
    hot = dataclasses.replace(model, settings=settings)
    assert hot.win_log_odds(difference).tolist() == [0.0, 0.5, -1.5]
    assert hot.win_log_odds(difference, calibrated=False).tolist() == [0.0, 1.0, -3.0]
    tied = dataclasses.replace(settings, ties="rao_kupper", tie_parameter=0.6)
    win, _, loss = rao_kupper_by_strengths(0.5, 0.0, 0.6)
    found = dataclasses.replace(model, settings=tied).win_log_odds(difference)
    assert found[1].item() == pytest.approx(math.log(win / loss), abs=1e-6)


def test_cut_texts_are_counted(artifact):
    model = reward_model_load(artifact)
    assert model.score(CONVERSATIONS).cut == 0
    assert model.score([(PROMPT, "word " * 200), *CONVERSATIONS]).cut == 1


def test_directory_without_settings_is_no_reward_model(tmp_path):
    with pytest.raises(UserError, match="not a reward model"):
        reward_model_load(tmp_path)


def test_the_soft_worst_case_lies_between_mean_and_worst_and_reaches_both() -> None:
    scores = torch.tensor([[1.0, 4.0], [3.0, 4.0]])
    # -2 log((e^-0.5 + e^-1.5) / 2); equal members stay what they are
    by_hand = -2 * math.log((math.exp(-0.5) + math.exp(-1.5)) / 2)
    found = combine(scores, "soft_worst", temperature=2.0)
    torch.testing.assert_close(found, torch.tensor([by_hand, 4.0]))
    mild, strict = (combine(scores, "soft_worst", temperature=t) for t in (1e4, 1e-3))
    torch.testing.assert_close(mild, scores.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(strict, scores.amin(0), atol=1e-3, rtol=0)
