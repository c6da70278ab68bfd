"""The whole chain, KL to gradients, against the independent NumPy version."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support import ppo_numpy
from training.core.model import logprobs
from training.core.ppo import advantages, losses
from training.core.rollout import importance, kl, rewarding

TOLERANCE = 1e-5
SETTINGS = ppo_numpy.Settings(temperature=0.8, beta=0.11, gamma=0.97, gae_lambda=0.9)


@pytest.fixture(params=[3, 4, 5])
def rollout(request: Any) -> ppo_numpy.StoredRollout:
    rng = np.random.default_rng(request.param)
    policy = rng.normal(size=(4, 5, 7), scale=1.5)
    return ppo_numpy.StoredRollout(
        tokens=rng.integers(0, 7, size=(4, 5)),
        lengths=[5, 1, 3, 4],
        ended=[False, True, True, True],
        scores=[float(x) for x in rng.normal(size=4)],
        policy_logits=policy,
        reference_logits=policy + rng.normal(size=policy.shape, scale=0.7),
        values=rng.normal(size=(4, 5), scale=0.8),
    )


def tensor(array: Any) -> torch.Tensor:
    result = torch.as_tensor(array)
    return result.float() if result.is_floating_point() else result


def mask_of(rollout: ppo_numpy.StoredRollout) -> torch.Tensor:
    return torch.arange(5)[None] < torch.tensor(rollout.lengths)[:, None]


def product_chain(rollout: ppo_numpy.StoredRollout) -> dict[str, torch.Tensor]:
    mask, tokens = mask_of(rollout), tensor(rollout.tokens)
    policy, reference = tensor(rollout.policy_logits), tensor(rollout.reference_logits)
    at = SETTINGS.temperature
    own = logprobs.token_statistics(policy, tokens, temperature=at)
    other = logprobs.token_log_probs(reference, tokens, temperature=at)
    log_ratio = kl.k1(own.log_probs, other)
    scores = rewarding.penalise_missing_eos(
        tensor(rollout.scores), torch.tensor(rollout.ended), penalty=SETTINGS.missing_eos_penalty
    )
    shaped = rewarding.shape_rewards(scores, log_ratio, mask, beta=SETTINGS.beta)
    estimated = advantages.estimate_advantages(
        shaped,
        tensor(rollout.values),
        mask,
        gamma=SETTINGS.gamma,
        gae_lambda=SETTINGS.gae_lambda,
    )
    return {
        "log_probs": own.log_probs,
        "reference_log_probs": other,
        "entropy": own.entropy,
        "k1": log_ratio,
        "k3": kl.k3(own.log_probs, other),
        "exact_kl": kl.exact_kl(policy, reference, temperature=at),
        "rewards": shaped,
        "advantages": estimated.advantages,
        "returns": estimated.returns,
        "whitened": advantages.whiten(estimated.advantages, mask),
    }


def test_every_step_of_the_chain_agrees_with_numpy(rollout: ppo_numpy.StoredRollout) -> None:
    expected = ppo_numpy.chain(rollout, SETTINGS)
    mask = mask_of(rollout).numpy()
    for name, value in product_chain(rollout).items():
        ours = np.where(mask, value.numpy(), 0.0)
        np.testing.assert_allclose(ours, getattr(expected, name), atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize("drift", [0.05, 0.6, 60.0])
def test_policy_loss_and_its_gradient_agree_with_numpy(
    rollout: ppo_numpy.StoredRollout, drift: float
) -> None:
    done = ppo_numpy.chain(rollout, SETTINGS)
    moved = rollout.policy_logits + np.random.default_rng(1).normal(
        size=rollout.policy_logits.shape, scale=drift
    )
    expected, held, approx_kl = ppo_numpy.policy_loss(moved, rollout, done, SETTINGS)
    logits = torch.tensor(moved, dtype=torch.float32, requires_grad=True)
    result = losses.policy_loss(
        logprobs.token_log_probs(logits, tensor(rollout.tokens), temperature=SETTINGS.temperature),
        tensor(done.log_probs),
        tensor(done.whitened),
        mask_of(rollout),
        clip_range=SETTINGS.clip_range,
        tokens=sum(rollout.lengths),
    )
    result.loss.backward()
    assert result.clipped.item() == held
    np.testing.assert_allclose(result.loss.item(), expected, rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_allclose(result.approx_kl.item(), approx_kl, rtol=1e-4, atol=TOLERANCE)
    if drift < 60:  # exp(20) leaves finite differences no digits
        slope = ppo_numpy.gradient(
            lambda z: ppo_numpy.policy_loss(z, rollout, done, SETTINGS)[0], moved
        )
        torch.testing.assert_close(logits.grad, tensor(slope), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_importance_weights_and_the_loss_under_them_agree_with_numpy(
    rollout: ppo_numpy.StoredRollout, noise: float
) -> None:
    """The engine's logits differ from the policy's by `noise`: a little, or so that many are truncated."""
    done, mask = ppo_numpy.chain(rollout, SETTINGS), mask_of(rollout)
    rng = np.random.default_rng(7)
    shape = rollout.policy_logits.shape
    drawn = logprobs.token_log_probs(
        tensor(rollout.policy_logits + rng.normal(size=shape, scale=noise)),
        tensor(rollout.tokens),
        temperature=SETTINGS.temperature,
    )
    table = np.where(mask.numpy(), drawn.double().numpy(), 0.0)
    weights, expected = ppo_numpy.importance(table, rollout, done, SETTINGS)
    assert (expected["importance_truncated"] > 0) == (noise == 1.0)
    arguments = (tensor(done.log_probs), tensor(table), mask)
    ours = importance.importance_weights(*arguments, cap=SETTINGS.importance_cap)
    np.testing.assert_allclose(ours.numpy(), weights, atol=TOLERANCE)
    logged = importance.importance_metrics(*arguments, cap=SETTINGS.importance_cap)
    assert logged == pytest.approx(expected, abs=1e-4)

    moved = rollout.policy_logits + rng.normal(size=shape, scale=0.3)
    logits = torch.tensor(moved, dtype=torch.float32, requires_grad=True)
    result = losses.policy_loss(
        logprobs.token_log_probs(logits, tensor(rollout.tokens), temperature=SETTINGS.temperature),
        tensor(done.log_probs),
        tensor(done.whitened),
        mask,
        clip_range=SETTINGS.clip_range,
        tokens=sum(rollout.lengths),
        weights=ours,
    )
    result.loss.backward()

    def loss(z: ppo_numpy.Array) -> float:
        return ppo_numpy.policy_loss(z, rollout, done, SETTINGS, weights)[0]

    np.testing.assert_allclose(result.loss.item(), loss(moved), atol=TOLERANCE)
    slope = ppo_numpy.gradient(loss, moved)
    torch.testing.assert_close(logits.grad, tensor(slope), rtol=0, atol=TOLERANCE)


def test_value_loss_and_its_gradient_agree_with_numpy(rollout: ppo_numpy.StoredRollout) -> None:
    done = ppo_numpy.chain(rollout, SETTINGS)
    moved = rollout.values + np.random.default_rng(2).normal(size=rollout.values.shape, scale=0.4)
    values = torch.tensor(moved, dtype=torch.float32, requires_grad=True)
    result = losses.value_loss(
        values,
        tensor(rollout.values),
        tensor(done.returns),
        mask_of(rollout),
        clip_range=SETTINGS.value_clip_range,
        tokens=sum(rollout.lengths),
    )
    result.loss.backward()
    expected = ppo_numpy.value_loss(moved, rollout, done, SETTINGS)
    slope = ppo_numpy.gradient(lambda v: ppo_numpy.value_loss(v, rollout, done, SETTINGS), moved)
    np.testing.assert_allclose(result.loss.item(), expected, atol=TOLERANCE)
    torch.testing.assert_close(values.grad, tensor(slope), rtol=0, atol=TOLERANCE)


def test_losses_of_micro_batches_add_up_to_the_loss_of_the_whole(
    rollout: ppo_numpy.StoredRollout,
) -> None:
    done = ppo_numpy.chain(rollout, SETTINGS)
    mask, tokens = mask_of(rollout), sum(rollout.lengths)
    moved = tensor(done.log_probs) + 0.1 * torch.randn(4, 5, generator=torch.Generator())

    def loss(rows: slice) -> float:
        old, whitened = tensor(done.log_probs)[rows], tensor(done.whitened)[rows]
        return losses.policy_loss(
            moved[rows], old, whitened, mask[rows], clip_range=0.2, tokens=tokens
        ).loss.item()

    parts = loss(slice(0, 1)) + loss(slice(1, 4))
    assert parts == pytest.approx(loss(slice(0, 4)), abs=1e-6)
