"""Checks on loaded models and prompts, before any compute is spent (each failure: one sentence)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from annotation.rows import PromptRow
from training.contracts import MeasureConfig, PpoConfig, Sampling
from training.core.data.sequences import pack_sequences
from training.core.data.tokenizers import prompt_encode
from training.core.model.actor_critic import response_logits
from training.core.model.loading import LoadedModel
from training.core.model.logprobs import token_log_probs
from training.core.rollout.generation import generate
from training.core.rollout.rewarding import Rewarder
from training.core.run.errors import UserError
from training.core.run.run_directory import Run

__all__ = [
    "check_batch_invariance",
    "check_log_probs",
    "check_patience",
    "check_prompts",
    "check_rewarder",
    "check_tokens",
    "check_vocabularies",
    "encode_prompts",
]

TOLERANCE = 1e-4
PROBES = 4


def check_tokens(policy: LoadedModel) -> None:
    """PAD and EOS exist and differ: else the end of a text is invisible or masked away."""
    if not policy.end_ids:
        raise UserError("The policy's tokenizer has no end token: set its eos_token.")
    if policy.tokenizer.pad_token_id is None or policy.pad_id in policy.end_ids:
        raise UserError(
            f"The policy's PAD token (id {policy.tokenizer.pad_token_id}) is also its end token, so "
            "no text could be seen to end: give the tokenizer a pad_token of its own."
        )


def check_vocabularies(policy: LoadedModel, reference: LoadedModel) -> None:
    """Policy and reference give every token id the same meaning."""
    if policy.tokenizer.get_vocab() != reference.tokenizer.get_vocab():
        raise UserError(
            "The policy and the reference have different vocabularies, so no KL between them exists: "
            "use a reference that the policy descends from."
        )


def encode_prompts(
    policy: LoadedModel, prompts: Sequence[PromptRow], config: PpoConfig | MeasureConfig
) -> list[list[int]]:
    """Token ids of every prompt, once all of them are known to fit."""
    encoded = [prompt_encode(policy.tokenizer, row.messages) for row in prompts]
    lengths, names = [len(ids) for ids in encoded], [row.id for row in prompts]
    check_prompts(lengths, names, config, policy.model)
    return encoded


def check_prompts(
    lengths: Sequence[int], names: Sequence[str], config: PpoConfig | MeasureConfig, model: Any
) -> None:
    """Every prompt fits `max_prompt_tokens`, and with its completion into the model's context."""
    longest = max(range(len(lengths)), key=lambda row: lengths[row])
    over = sum(length > config.max_prompt_tokens for length in lengths)
    if over:
        raise UserError(
            f"{over} of {len(lengths)} prompts are longer than max_prompt_tokens "
            f"({config.max_prompt_tokens}); the longest is {names[longest]!r} with "
            f"{lengths[longest]}: raise the setting or leave them out."
        )
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    needed = lengths[longest] + config.sampling.max_new_tokens
    if context is not None and needed > context:
        raise UserError(
            f"The prompt {names[longest]!r} ({lengths[longest]} tokens) and "
            f"{config.sampling.max_new_tokens} new tokens need {needed} positions, but the policy has "
            f"{context}: lower sampling.max_new_tokens or leave long prompts out."
        )


def check_patience(run: Run[Any], patience: int) -> None:
    """Waiting for a better held-out reward needs a model that gives one."""
    if patience > 0 and "held_out_reward_model" not in run.inputs:
        raise UserError(
            "held_out_patience waits for a better held-out reward, but the input "
            "'held_out_reward_model' is missing: give one, or set held_out_patience to 0."
        )


def check_rewarder(rewarder: Rewarder, prompts: Sequence[PromptRow]) -> None:
    """Scores of probe texts of different lengths must not depend on their batch."""
    texts = ["Yes.", "", "I think that it is so, and here is why. " * 4]
    rows = [prompts[i % len(prompts)].messages for i in range(len(texts))]
    for what, score in rewarder.probes():
        together = score(rows, texts)
        alone = torch.cat([score([r], [t]) for r, t in zip(rows, texts, strict=True)])
        check_batch_invariance(together, alone, what=what)


def check_batch_invariance(together: Tensor, alone: Tensor, *, what: str) -> None:
    """Scores [N] of the same texts, from one batch and one by one, must agree."""
    if not bool(torch.isfinite(together).all()):
        raise UserError(f"{what} gives a score that is not a finite number: train it again.")
    error = float((together - alone).abs().max())
    if error > TOLERANCE:
        raise UserError(
            f"{what} scores a text differently alone and in a batch (by {error:.2g}): its padding "
            "is not masked; use a model that reads its attention mask."
        )


@torch.inference_mode()
def check_log_probs(
    policy: LoadedModel, prompts: Sequence[list[int]], config: PpoConfig | MeasureConfig
) -> None:
    """Greedy tokens from the cached sampler are the best tokens of a fresh pass, padded or not."""
    probes = list(prompts[:PROBES])
    greedy = Sampling(
        max_new_tokens=min(8, config.sampling.max_new_tokens), temperature=0.0, batch_size=PROBES
    )
    generated = generate(
        policy.model,
        probes,
        seeds=list(range(len(probes))),
        sampling=greedy,
        pad_id=policy.pad_id,
        end_ids=policy.end_ids,
    )
    responses = [generated.response(row) for row in range(len(probes))]
    together = _log_probs(policy, probes, responses)
    for row, (prompt, response) in enumerate(zip(probes, responses, strict=True)):
        alone = _log_probs(policy, [prompt], [response])
        found = together.taken[row, -len(response) :]  # responses stand at the right end
        error = max(
            float((found - alone.taken[0]).abs().max()),
            float((alone.best[0] - alone.taken[0]).abs().max()),
        )
        if not error <= TOLERANCE:
            raise UserError(
                "The policy gives a token another log-probability while sampling than in a fresh "
                f"pass (by {error:.2g} nats): it does not follow attention_mask and position_ids, "
                "or it computes in low precision; load it in float32 or use another architecture."
            )


class _LogProbs(NamedTuple):
    """[B, R]: log-probability of the token taken, and of the best token at each position."""

    taken: Tensor
    best: Tensor


def _log_probs(
    policy: LoadedModel, prompts: Sequence[list[int]], responses: Sequence[list[int]]
) -> _LogProbs:
    device = next(policy.model.parameters()).device
    batch = pack_sequences(prompts, responses, pad_id=policy.pad_id, device=device)
    logits = response_logits(policy.model, batch)
    return _LogProbs(
        token_log_probs(logits, batch.responses), token_log_probs(logits, logits.argmax(-1))
    )
