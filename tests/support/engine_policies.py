"""A tiny policy that every engine can run: on a CPU vLLM has kernels for heads of 32, none for 12."""

from __future__ import annotations

import torch

from tests.support.ppo_runs import QUESTIONS, WORDS
from training.contracts import ModelSource, Sampling
from training.core.data.sequences import pack_sequences
from training.core.engines import Sampled
from training.core.model.actor_critic import response_logits
from training.core.model.loading import LoadedModel, policy_load
from training.core.model.logprobs import token_log_probs

PROMPTS = [[5, 6, 7], [8, 9], [6, 6, 6, 6], [7]]
SAMPLING = Sampling(max_new_tokens=12, temperature=1.3, batch_size=3)


def engine_policy(*, ends_often: bool = True) -> LoadedModel:
    """About 60,000 parameters; with `ends_often` the end token takes about a tenth of the mass."""
    source = ModelSource(
        kind="fresh", hidden_size=64, layers=2, heads=2, feed_forward=96, max_positions=64
    )
    policy = policy_load(source, {}, texts=[WORDS, *QUESTIONS], seed=0)
    if ends_often:
        with torch.no_grad():
            # The end token's logit gains what the mean of the last hidden states says in its favour.
            head = policy.model.lm_head.weight
            hidden = policy.model.model(torch.tensor([[5, 6, 7, 8, 9, 10]])).last_hidden_state[0]
            favour = hidden.mean(0)
            head[policy.end_ids[0]] += 4.0 * favour / favour.square().sum()
    return policy


def move(policy: LoadedModel, by: float = 0.05) -> None:
    """What an optimiser step does: other weights in the same places."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))


@torch.no_grad()
def forward_log_probs(policy: LoadedModel, sampled: Sampled, temperature: float) -> torch.Tensor:
    """[tokens] of all responses, one after the other, by the training forward pass."""
    device = torch.device("cpu")
    batch = pack_sequences(PROMPTS, sampled.responses, pad_id=policy.pad_id, device=device)
    logits = response_logits(policy.model, batch)
    return token_log_probs(logits, batch.responses, temperature=temperature)[batch.mask]


def said(sampled: Sampled) -> torch.Tensor:
    """[tokens]: what the engine says of the same tokens."""
    assert sampled.log_probs is not None
    return torch.tensor([p for row in sampled.log_probs for p in row])
