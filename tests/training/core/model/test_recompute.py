"""Gradient checkpointing: the same gradients, fewer things kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.support import ppo_runs
from tests.support.tiny_models import tiny_classifier, tiny_policy
from training.core.data.sequences import pack_sequences
from training.core.model.actor_critic import ActorCritic, Evaluation
from training.core.model.recompute import recompute_layers
from training.core.reward.forward import score_rows
from training.core.run.errors import UserError

ROWS = [[5, 6, 7, 8, 9, 10], [11, 12, 13]]


def gradients(model: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def same(plain: dict[str, torch.Tensor], again: dict[str, torch.Tensor]) -> None:
    assert plain.keys() == again.keys()
    assert max(float(g.abs().max()) for g in plain.values()) > 1e-4  # they say something
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, atol=1e-6, rtol=0, msg=name)


def saved_bytes(loss_of) -> int:
    """Bytes that the forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss_of()
    return sum(kept.values())


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_a_reward_model_gets_the_same_gradients(architecture: str) -> None:
    loaded = tiny_classifier(architecture=architecture)

    def loss() -> torch.Tensor:
        return score_rows(loaded.model, ROWS, loaded.pad_id).square().sum()

    plain = gradients(loaded.model, loss())
    recompute_layers(loaded.model)
    same(plain, gradients(loaded.model, loss()))


def test_a_policy_in_training_with_its_cache_on_gets_the_same_gradients() -> None:
    model = tiny_policy().model.train()
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])

    def loss() -> torch.Tensor:
        logits: torch.Tensor = model(input_ids=ids, use_cache=True).logits
        return logits.log_softmax(-1)[..., 3].sum()

    plain = gradients(model, loss())
    recompute_layers(model)
    same(plain, gradients(model, loss()))


@pytest.mark.parametrize("shared", [True, False])
def test_policy_and_critic_get_the_same_gradients_though_never_in_training_mode(
    shared: bool,
) -> None:
    policy = ppo_runs.tiny_policy()
    actor = (ActorCritic.shared if shared else ActorCritic.separate)(policy.model)
    nn.init.normal_(actor.head.weight)
    batch = pack_sequences(
        [[5, 6, 7], [8, 9]], [[10, 11, 12], [13]], pad_id=policy.pad_id, device=torch.device("cpu")
    )

    def loss() -> torch.Tensor:
        found: Evaluation = actor(batch, temperature=1.0)
        return found.log_probs.sum() + found.values.square().sum()

    plain, kept = gradients(actor, loss()), saved_bytes(loss)
    recompute_layers(actor)
    same(plain, gradients(actor, loss()))
    assert saved_bytes(loss) < 0.7 * kept
    assert not actor.training


def test_what_has_no_layers_is_refused_with_the_fix() -> None:
    with pytest.raises(UserError, match="set gradient_checkpointing to false"):
        recompute_layers(nn.Linear(2, 2))
