import json

import pytest
import torch

from tests.support.tiny_models import TEXTS, tiny_classifier
from training.core.errors import UserError
from training.core.models import model_save
from training.core.scoring import combine, reward_model_load

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


def test_cut_texts_are_counted(artifact):
    model = reward_model_load(artifact)
    assert model.score(CONVERSATIONS).cut == 0
    assert model.score([(PROMPT, "word " * 200), *CONVERSATIONS]).cut == 1


def test_directory_without_settings_is_no_reward_model(tmp_path):
    with pytest.raises(UserError, match="not a reward model"):
        reward_model_load(tmp_path)
