"""What every engine owes PPO: tokens of the policy as it is now, with the probabilities they were drawn by."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from tests.support import fake_vllm
from tests.support.engine_policies import (
    PROMPTS,
    SAMPLING,
    engine_policy,
    forward_log_probs,
    move,
    said,
)
from training.contracts import AdapterConfig, Sampling
from training.core.engines import RolloutEngine, Sampled
from training.core.engines.continuous_batching import ContinuousBatchingEngine
from training.core.engines.vllm import VllmEngine
from training.core.model.loading import LoadedModel
from training.core.model.lora import adapter_add, trainable_parameters

Open = Callable[[LoadedModel, Sampling, str], RolloutEngine]
SEEDS = [1, 2, 3, 4]


@pytest.fixture(params=["transformers", "vllm"])
def opened(request: Any, monkeypatch: pytest.MonkeyPatch) -> Open:
    """The two engines; vLLM itself where it is installed, else a stand-in with its interface."""
    torch.set_num_threads(1)
    if request.param == "transformers":
        return lambda policy, sampling, dtype: ContinuousBatchingEngine(
            policy, sampling, dtype=getattr(torch, dtype)
        )
    if find_spec("vllm") is None:
        monkeypatch.setitem(sys.modules, "vllm", fake_vllm)
    return lambda policy, sampling, dtype: VllmEngine(
        policy, sampling, dtype=dtype, prompt_tokens=8
    )


def check_shape(sampled: Sampled, policy: LoadedModel) -> None:
    """Cut after the first end token, which is kept; else as long as it may be."""
    assert sampled.log_probs is not None
    rows = zip(sampled.responses, sampled.ended, sampled.log_probs, strict=True)
    for response, ended, log_probs in rows:
        assert len(log_probs) == len(response)
        assert not set(response[:-1]) & set(policy.end_ids)
        assert ended == (response[-1] in policy.end_ids)
        assert ended or len(response) == SAMPLING.max_new_tokens


def test_tokens_come_with_the_probabilities_that_the_policy_gives_them(opened: Open) -> None:
    policy = engine_policy()
    sampled = opened(policy, SAMPLING, "float32").sample(PROMPTS, SEEDS)
    check_shape(sampled, policy)
    assert True in sampled.ended
    assert False in sampled.ended
    expected = forward_log_probs(policy, sampled, SAMPLING.temperature)
    torch.testing.assert_close(said(sampled), expected, atol=1e-5, rtol=0)


def test_an_engine_draws_with_the_weights_of_the_moment(opened: Open) -> None:
    policy = engine_policy()
    engine = opened(policy, SAMPLING, "float32")
    engine.sample(PROMPTS, SEEDS)
    move(policy)
    sampled = engine.sample(PROMPTS, SEEDS)
    expected = forward_log_probs(policy, sampled, SAMPLING.temperature)
    torch.testing.assert_close(said(sampled), expected, atol=1e-5, rtol=0)


def test_an_engine_draws_with_the_adapter_in_its_present_state(opened: Open) -> None:
    policy = engine_policy()
    adapter_add(policy.model, AdapterConfig(kind="lora", rank=2), seed=3)
    engine = opened(policy, SAMPLING, "float32")
    with torch.no_grad():
        for parameter in trainable_parameters(policy.model):
            parameter.fill_(0.1)
    sampled = engine.sample(PROMPTS, SEEDS)
    expected = forward_log_probs(policy, sampled, SAMPLING.temperature)
    torch.testing.assert_close(said(sampled), expected, atol=1e-5, rtol=0)


def test_half_precision_is_near_the_policy_and_not_equal_to_it(opened: Open) -> None:
    policy = engine_policy()
    engine = opened(policy, SAMPLING, "bfloat16")
    engine.sample(PROMPTS, SEEDS)
    move(policy)
    sampled = engine.sample(PROMPTS, SEEDS)
    check_shape(sampled, policy)
    gap = (said(sampled) - forward_log_probs(policy, sampled, SAMPLING.temperature)).abs()
    assert 1e-4 < float(gap.mean()) < 0.05
    assert next(policy.model.parameters()).dtype == torch.float32


def test_neither_top_k_nor_another_filter_of_the_policy_leaks_in(opened: Open) -> None:
    """One token a prompt, 600 times: about as many different ones as the distribution promises."""
    policy = engine_policy(ends_often=False)
    policy.model.generation_config.update(top_k=3, temperature=0.1, min_new_tokens=5)
    sampling = replace(SAMPLING, max_new_tokens=1, batch_size=128)
    prompts = [PROMPTS[0]] * 600
    sampled = opened(policy, sampling, "float32").sample(prompts, list(range(600)))
    drawn = torch.tensor([response[0] for response in sampled.responses])
    with torch.no_grad():
        logits = policy.model(torch.tensor([PROMPTS[0]])).logits[0, -1]
    probabilities = (logits / sampling.temperature).softmax(-1)
    promised = float((1 - (1 - probabilities) ** 600).sum())
    assert len(drawn.unique()) == pytest.approx(promised, rel=0.1)
    entropy = -float((probabilities * probabilities.log()).sum())
    assert float(-said(sampled).mean()) == pytest.approx(entropy, abs=0.1)


def test_the_policy_is_left_as_it_was(opened: Open) -> None:
    policy = engine_policy()
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    attention, training = policy.model.config._attn_implementation, policy.model.training
    opened(policy, SAMPLING, "float32").sample(PROMPTS, SEEDS)
    assert policy.model.config._attn_implementation == attention
    assert policy.model.training == training
    for name, tensor in policy.model.state_dict().items():
        assert torch.equal(tensor, before[name])
