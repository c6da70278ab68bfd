"""The networks against plain forward passes of single, unpadded sequences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from tests.support.ppo_runs import tiny_policy
from training.core.data.sequences import pack_sequences
from training.core.model.actor_critic import ActorCritic
from training.core.ppo.experience import build_experience
from training.core.rollout.episodes import Episodes, TokenTables, score_tokens

CPU = torch.device("cpu")
PROMPTS = [[7, 8, 9, 10], [11, 12], [13, 14, 15]]
RESPONSES = [[20, 21], [22, 23, 24, 25, 2], [26]]
EPISODES = Episodes(PROMPTS, RESPONSES, [False, True, False], ["a", "b", "c"])


def gpt2() -> Any:
    """Absolute positions and configured dropout: what a fresh llama has neither of."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=40, n_positions=32, n_embd=16, n_layer=2, n_head=2, resid_pdrop=0.5
    )
    return GPT2LMHeadModel(config)


@pytest.fixture(params=["llama", "gpt2"])
def policy(request: pytest.FixtureRequest) -> Any:
    return tiny_policy().model if request.param == "llama" else gpt2()


def plain_log_probs(model: Any, prompt: list[int], response: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = model(torch.tensor([prompt + response])).logits[0] / 0.7
    table = logits.log_softmax(-1)
    return torch.stack([table[len(prompt) + t - 1, y] for t, y in enumerate(response)])


def test_log_probs_of_a_padded_batch_are_those_of_each_sequence_alone(policy: Any) -> None:
    actor = ActorCritic.separate(policy)
    batch = pack_sequences(PROMPTS, RESPONSES, pad_id=0, device=CPU)
    found = actor(batch, temperature=0.7).log_probs
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        expected = plain_log_probs(policy, prompt, response)
        torch.testing.assert_close(found[row, -len(response) :], expected, atol=2e-5, rtol=0)


def test_two_passes_agree_whatever_mode_is_asked_for(policy: Any) -> None:
    actor = ActorCritic.separate(policy)
    actor.train()
    batch = pack_sequences(PROMPTS, RESPONSES, pad_id=0, device=CPU)
    first, second = (actor(batch, temperature=1.0).log_probs for _ in range(2))
    assert torch.equal(first, second)
    assert not actor.policy.training


@pytest.mark.parametrize("make", [ActorCritic.shared, ActorCritic.separate])
def test_a_new_value_head_says_nothing_and_then_reads_the_state_before_each_token(
    policy: Any, make: Any
) -> None:
    actor = make(policy)
    batch = pack_sequences(PROMPTS, RESPONSES, pad_id=0, device=CPU)
    assert not actor(batch, temperature=1.0).values.any()
    nn.init.normal_(actor.head.weight, generator=torch.Generator().manual_seed(0))
    values = actor(batch, temperature=1.0).values
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        hidden = policy.base_model(torch.tensor([prompt + response])).last_hidden_state[0]
        expected = actor.head(hidden)[len(prompt) - 1 : -1, 0]
        torch.testing.assert_close(values[row, -len(response) :], expected, atol=2e-5, rtol=0)


def test_values_are_not_rounded_by_autocast(policy: Any) -> None:
    """A head of weight 0 and bias 0.1 says 0.1, which in bf16 would be 0.10009765625."""
    actor = ActorCritic.shared(policy)
    with torch.no_grad():
        actor.head.bias.fill_(0.1)
    batch = pack_sequences(PROMPTS, RESPONSES, pad_id=0, device=CPU)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        values = actor(batch, temperature=1.0).values
    assert values.dtype == torch.float32
    assert torch.equal(values, torch.full_like(values, 0.1))


def test_a_separate_critic_shares_no_weight_with_the_policy_and_a_shared_one_adds_a_head() -> None:
    policy = tiny_policy().model
    separate, shared = ActorCritic.separate(policy), ActorCritic.shared(policy)
    own = {id(parameter) for parameter in separate.policy_parameters()}
    assert not own & {id(parameter) for parameter in separate.value_parameters()}
    assert len(shared.value_parameters()) == 2
    assert len(list(shared.parameters())) == len(own) + 2


def test_token_tables_do_not_depend_on_how_the_rollout_was_cut_into_batches(policy: Any) -> None:
    actor, reference = ActorCritic.separate(policy), tiny_policy(seed=3).model
    if type(policy) is not type(reference):
        reference = gpt2()

    reference.eval()

    def tables(size: int) -> Any:
        return score_tokens(
            actor,
            reference,
            EPISODES,
            temperature=0.7,
            pad_id=0,
            batch_size=size,
            exact_rollouts=2,
            device=CPU,
        )

    alone, together = tables(1), tables(3)
    for one, all_at_once in zip(alone, together, strict=True):
        torch.testing.assert_close(one, all_at_once, atol=2e-5, rtol=0)
    assert alone.exact_kl.shape == (2, 5)
    mask = EPISODES.response_mask(CPU)
    assert not alone.log_probs[~mask].any()


def test_experience_charges_kl_and_the_missing_end_where_they_belong() -> None:
    mask = EPISODES.response_mask(CPU)
    zeros = torch.zeros(3, 5)
    log_probs = torch.where(mask, -1.0, 0.0)
    reference = torch.where(mask, -1.5, 0.0)  # every token is 0.5 nats dearer than the reference
    found = build_experience(
        EPISODES,
        TokenTables(log_probs, reference, zeros, zeros, zeros),
        torch.tensor([3.0, 3.0, 3.0]),
        beta=0.2,
        gamma=1.0,
        gae_lambda=1.0,
        missing_eos_penalty=1.0,
        whiten_advantages=False,
    )
    expected = [
        [0.0, 0.0, 0.0, 1.8, 1.9],  # 3 - 1 for the missing end, minus 0.1 for each token to come
        [2.5, 2.6, 2.7, 2.8, 2.9],
        [0.0, 0.0, 0.0, 0.0, 1.9],
    ]
    torch.testing.assert_close(found.returns, torch.tensor(expected))
