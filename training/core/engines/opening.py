"""An engine by its name, shown to sample from the policy before any compute is spent."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from training.contracts import PpoConfig
from training.core.data.sequences import pack_sequences
from training.core.engines.continuous_batching import ContinuousBatchingEngine
from training.core.engines.vllm import VllmEngine
from training.core.model.actor_critic import response_logits
from training.core.model.loading import LoadedModel
from training.core.model.logprobs import token_log_probs
from training.core.rollout.engine import OwnEngine, RolloutEngine, Sampled
from training.core.run.errors import UserError

__all__ = ["check_engine", "engine_open"]

PROBES = 4
GAP = 0.2
"""Nats a token, on average. bfloat16 gives hundredths; old weights or a lost temperature give more."""


def engine_open(
    config: PpoConfig, policy: LoadedModel, prompts: Sequence[list[int]]
) -> RolloutEngine:
    """The engine of `config`; any but our own has to prove itself on a few prompts."""
    if config.rollout_engine == "own":
        return OwnEngine(policy, config.sampling)
    try:
        engine = _open(config, policy)
        sampled = engine.sample(prompts[:PROBES], list(range(len(prompts[:PROBES]))))
    except (ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"rollout_engine {config.rollout_engine!r} cannot sample from this policy "
            f"({reason[0]}): set rollout_engine to 'own'."
        ) from error
    check_engine(sampled, policy, prompts[:PROBES], config)
    return engine


def _open(config: PpoConfig, policy: LoadedModel) -> RolloutEngine:
    if config.rollout_engine == "transformers":
        dtype = getattr(torch, config.engine_dtype)
        return ContinuousBatchingEngine(policy, config.sampling, dtype=dtype)
    return VllmEngine(
        policy,
        config.sampling,
        dtype=config.engine_dtype,
        prompt_tokens=config.max_prompt_tokens,
    )


@torch.inference_mode()
def check_engine(
    sampled: Sampled, policy: LoadedModel, prompts: Sequence[list[int]], config: PpoConfig
) -> None:
    """The engine gives its own tokens about the probabilities that the policy gives them."""
    assert sampled.log_probs is not None  # every engine but our own says them
    device = next(policy.model.parameters()).device
    batch = pack_sequences(prompts, sampled.responses, pad_id=policy.pad_id, device=device)
    logits = response_logits(policy.model, batch)
    own = token_log_probs(logits, batch.responses, temperature=config.sampling.temperature)
    theirs = torch.tensor([p for row in sampled.log_probs for p in row], device=device)
    gap = float((own[batch.mask] - theirs).abs().mean())
    if not gap <= GAP:
        raise UserError(
            f"rollout_engine {config.rollout_engine!r} gives its tokens other probabilities than the "
            f"policy does, by {gap:.2g} nats a token on average, more than rounding explains: set "
            "engine_dtype to 'float32', or rollout_engine to 'own'."
        )
