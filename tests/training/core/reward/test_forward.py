"""States are what the head made the scores of, whatever the network, the batch and the padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel, RobertaConfig, RobertaForSequenceClassification

from tests.support import ppo_runs
from tests.support.rare_models import rare_write
from training.contracts import ModelSource
from training.core.model.loading import classifier_load
from training.core.model.score_head import head_of
from training.core.reward.forward import read_rows, score_rows
from training.core.reward.scoring import member_read, reward_model_load

ROWS = [[5, 9, 12, 30, 8, 7, 22], [6, 11], [10, 11, 9, 4]]
TEXTS = [({"role": "user", "content": "say yes"},), ({"role": "user", "content": "why"},)]


def roberta() -> RobertaForSequenceClassification:
    torch.manual_seed(4)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = RobertaConfig(**sizes, intermediate_size=24, vocab_size=50, num_labels=1)
    return RobertaForSequenceClassification(config).eval()


def networks(tmp_path: Path) -> dict[str, tuple[Any, int]]:
    """Each with its padding token: the library's heads on decoder and encoder, one of our own, and an adapter."""
    policy = ppo_runs.write_policy(tmp_path / "policy")
    decoder = classifier_load(ModelSource(kind="pretrained", name=str(policy)), {}, seed=3)
    fresh = ModelSource(kind="fresh", architecture="bert", hidden_size=24, layers=1, heads=2)
    encoder = classifier_load(fresh, {}, texts=[ppo_runs.WORDS], seed=3)
    own = classifier_load(
        ModelSource(kind="pretrained", name=str(rare_write(tmp_path / "granite", "granite"))), {}
    )
    adapted = reward_model_load(ppo_runs.write_adapted_reward_model(tmp_path / "adapted"))
    loaded = {"decoder": decoder, "encoder": encoder, "own": own, "adapter": adapted.members[1]}
    return {name: (one.model, one.pad_id) for name, one in loaded.items()} | {
        "two layers": (roberta(), 1)
    }


def by_head(model: PreTrainedModel, states: torch.Tensor) -> torch.Tensor:
    head: nn.Linear = head_of(model)
    return nn.functional.linear(states, head.weight, head.bias)[:, 0]


@pytest.mark.parametrize("packed", [False, True])
@torch.no_grad()
def test_the_head_makes_the_scores_of_the_states(tmp_path: Path, packed: bool) -> None:
    for name, (model, pad_id) in networks(tmp_path).items():
        model.eval()
        found = read_rows(model, ROWS, pad_id, packed=packed)
        assert found.states.shape[0] == len(ROWS)
        torch.testing.assert_close(found.scores, score_rows(model, ROWS, pad_id, packed=packed))
        torch.testing.assert_close(by_head(model, found.states), found.scores, msg=name)
        alone = torch.cat([read_rows(model, [row], pad_id).states for row in ROWS])
        torch.testing.assert_close(found.states, alone, atol=1e-5, rtol=1e-4)
        assert float(found.states.std(0).mean()) > 1e-3  # three texts, not one three times


@torch.no_grad()
def test_a_reward_model_keeps_the_states_of_its_members_in_the_order_asked(tmp_path: Path) -> None:
    ppo_runs.write_policy(tmp_path / "policy")
    model = reward_model_load(ppo_runs.write_reward_model(tmp_path / "reward_model"))
    pairs = [(messages, text) for messages in TEXTS for text in ("blue", "red cat dog", "no")]
    plain, found = model.score(pairs), model.score(pairs, batch_size=2, states=True)
    assert plain.states == ()
    torch.testing.assert_close(found.raw, plain.raw)
    for member, states, raw in zip(model.members, found.states, plain.raw, strict=True):
        torch.testing.assert_close(by_head(member.model, states), raw)
        backwards = member_read(member, model.encode(pairs[::-1])).states.flip(0)
        torch.testing.assert_close(states, backwards, atol=1e-5, rtol=1e-4)
