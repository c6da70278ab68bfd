"""Checks on loaded models and prompts, before any compute is spent (each failure: one sentence)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from annotation.rows import PromptRow
from training.contracts import MeasureConfig, PpoConfig, Sampling
from training.core.data.conversations import Encoded
from training.core.data.fitting import row_named
from training.core.data.sequences import pack_sequences
from training.core.data.tokenizers import prompt_encode
from training.core.model.actor_critic import response_logits
from training.core.model.context import context_length
from training.core.model.loading import LoadedModel
from training.core.model.logprobs import token_log_probs
from training.core.reward.scoring import member_scores
from training.core.rollout.generation import Generated, generate
from training.core.rollout.rewarding import Rewarder
from training.core.run.errors import UserError
from training.core.run.run_directory import Run

__all__ = [
    "check_batch_invariance",
    "check_log_probs",
    "check_patience",
    "check_prompts",
    "check_reward_texts",
    "check_rewarder",
    "check_tokens",
    "check_vocabularies",
    "check_whole_text",
    "encode_prompts",
]

TOLERANCE = 1e-4
ROUNDING = 1e-5
"""Of a score of size 1 in fp32, after some dozens of layers."""

PROBES, PROBED_TOKENS = 4, 8
_BROKEN = (
    RuntimeError, ValueError, TypeError, AttributeError, LookupError, NotImplementedError,
)  # fmt: skip


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
    encoded = [
        row_named(f"The prompt {row.id!r}", partial(prompt_encode, policy.tokenizer), row.messages)
        for row in prompts
    ]
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
    context = context_length(model)
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
    for what, score, spread in rewarder.probes():
        together = score(rows, texts)
        alone = torch.cat([score([r], [t]) for r, t in zip(rows, texts, strict=True)], dim=-1)
        check_batch_invariance(together, alone, what=what, spread=spread)


def check_reward_texts(
    rewarder: Rewarder, prompts: Sequence[PromptRow], *, max_new_tokens: int
) -> str:
    """Every reward model can read every prompt; returns a warning where replies will be cut for it, or "".

    Reward models have chat templates and limits of their own: what the policy reads may be refused there.
    """
    warnings = list[str]()
    for what, model in rewarder.models():
        limit, tight = model.settings.max_length, 0
        for row in prompts:
            name = f"{what} cannot read the prompt {row.id!r}"
            (read,) = row_named(name, model.encode, [(row.messages, "")])
            tight += read.cut or len(read.ids) + max_new_tokens > limit
        if tight:
            warnings.append(
                f"{what} reads {limit} tokens (its max_length), and {tight} of {len(prompts)} prompts with a "
                f"reply of {max_new_tokens} have more: what is too long is cut before it is scored. Train it "
                "with a larger max_length."
            )
    return " ".join(warnings)


def check_batch_invariance(
    together: Tensor, alone: Tensor, *, what: str, spread: Tensor | float = 1.0
) -> None:
    """Raw scores [..., N] of the same texts, from one batch and one by one, must agree, measured by their
    `spread` over reference texts; but for the rounding that a model which has barely learned spreads less than.
    """
    if not bool(torch.isfinite(together).all()):
        raise UserError(f"{what} gives a score that is not a finite number: train it again.")
    errors = (together - alone).abs()
    allowed = TOLERANCE * spread + ROUNDING * together.abs().clamp(min=1.0)
    if bool((errors > allowed).any()):
        raise UserError(
            f"{what} scores a text differently alone and in a batch (by {errors.max():.2g}): its padding "
            "is not masked; use a model that reads its attention mask."
        )


def check_whole_text(model: LoadedModel, texts: Sequence[Encoded], alone: Tensor) -> None:
    """Another first or second half of a text must be able to change its score (N,), each from its own pass."""
    word = texts[0].ids[len(texts[0].ids) // 2]
    for text, score in zip(texts, alone, strict=True):
        middle, end = len(text.ids) // 2, text.ids[-1]
        first = (word,) * middle + text.ids[middle:]
        last = (*text.ids[:middle], *(word,) * (len(text.ids) - middle - 1), end)
        for half, ids in (("first", first), ("second", last)):
            other = member_scores(model, [replace(text, ids=ids)])
            if ids != text.ids and float(other[0]) == float(score):
                raise UserError(
                    f"{type(model.model).__name__} gives a text of {len(ids)} tokens the same score whatever"
                    f" its {half} half says: it does not read all of it; use another architecture."
                )


# ------------------------------------------------------------------------- sampling


def check_log_probs(
    policy: LoadedModel, prompts: Sequence[list[int]], config: PpoConfig | MeasureConfig
) -> None:
    """A drawn token has one log-probability: while sampling, in a fresh pass, padded, whatever follows it.

    A few completions are drawn with no end, then again with an end that stops some rows before others, so
    that the sampler takes rows out of its cache.
    """
    probes, steps = _probes(prompts), min(PROBED_TOKENS, config.sampling.max_new_tokens)
    endless = _drawn(policy, probes, steps, ())
    responses = [endless.response(row) for row in range(len(probes))]
    _check_causal(policy, probes, responses)
    _check_drawn(policy, probes, endless)
    end = _uneven_end(responses)
    if end is not None:
        _check_drawn(policy, probes, _drawn(policy, probes, steps, (end,)))


def _probes(prompts: Sequence[list[int]]) -> list[list[int]]:
    """`PROBES` prompts from the shortest to the longest, so that there is padding to follow."""
    ordered = sorted(prompts, key=len)
    return [ordered[i * (len(ordered) - 1) // (PROBES - 1)] for i in range(PROBES)]


def _drawn(
    policy: LoadedModel, probes: list[list[int]], steps: int, ends: Sequence[int]
) -> Generated:
    try:
        return generate(
            policy.model,
            probes,
            seeds=range(len(probes)),
            sampling=Sampling(max_new_tokens=steps, batch_size=PROBES),
            pad_id=policy.pad_id,
            end_ids=ends,
            with_log_probs=True,
        )
    except torch.OutOfMemoryError:
        raise
    except _BROKEN as error:
        said = str(error).strip().split("\n")[0].rstrip(" .:")
        raise UserError(
            f"No text can be sampled from the policy ({type(policy.model).__name__}) with a cache:"
            f" {said or type(error).__name__}. Use another architecture."
        ) from error


def _uneven_end(responses: Sequence[list[int]]) -> int | None:
    """A token that ends some rows earlier than others, the earliest first; None where there is none."""
    for step in range(len(responses[0]) - 1):
        for token in (response[step] for response in responses):
            if not all(token in response[: step + 1] for response in responses):
                return token
    return None


def _check_causal(
    policy: LoadedModel, probes: Sequence[list[int]], responses: Sequence[list[int]]
) -> None:
    """What stands behind a token must not change its probability."""
    for prompt, response in zip(probes, responses, strict=True):
        changed = [*response[:-1], _another(response[-1], policy)]
        before, after = (
            _log_probs(policy, [prompt], [read], [response]) for read in (response, changed)
        )
        moved = _worst(before, after)
        if not moved <= TOLERANCE:
            raise UserError(
                "The policy reads what comes later: another last token changed the log-probability of"
                f" one before it by {moved:.2g} nats, as in an encoder that was loaded as a language"
                " model; use a causal model (config.json: is_decoder true, where it was trained so)."
            )


def _another(token: int, policy: LoadedModel) -> int:
    """Any token but this one and padding."""
    rows = policy.model.config.get_text_config().vocab_size
    return next(i for i in range(rows) if i not in (token, policy.pad_id))


def _check_drawn(policy: LoadedModel, probes: Sequence[list[int]], drawn: Generated) -> None:
    responses = [drawn.response(row) for row in range(len(probes))]
    together = _log_probs(policy, probes, responses, responses)
    assert drawn.log_probs is not None
    for row, (prompt, response) in enumerate(zip(probes, responses, strict=True)):
        alone = _log_probs(policy, [prompt], [response], [response])[0]
        padded = _worst(together[row, -len(response) :], alone)  # responses stand at the right end
        if not padded <= TOLERANCE:
            raise UserError(
                "The policy gives a token another log-probability beside padding than alone (by"
                f" {padded:.2g} nats): it does not follow attention_mask and position_ids, or it computes"
                " in low precision; load it in float32 or use another architecture."
            )
        sampled = _worst(drawn.log_probs[row, : len(response)], alone)
        if not sampled <= TOLERANCE:
            raise UserError(
                "The policy gives a token another log-probability while sampling than in a fresh pass"
                f" (by {sampled:.2g} nats): its cache does not hold what it has read, or it computes in"
                " low precision; load it in float32 or use another architecture."
            )


def _worst(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to log-probabilities beyond 1 nat: rounding grows with them."""
    found, expected = found.float().cpu(), expected.float().cpu()
    return float(((found - expected).abs() / expected.abs().clamp(min=1)).max())


@torch.inference_mode()
def _log_probs(
    policy: LoadedModel,
    prompts: Sequence[list[int]],
    read: Sequence[list[int]],
    asked: Sequence[list[int]],
) -> Tensor:
    """[B, R]: log-probabilities of the tokens `asked` where `read`, of the same lengths, are the input."""
    device = next(policy.model.parameters()).device
    batch = pack_sequences(prompts, read, pad_id=policy.pad_id, device=device)
    targets = pack_sequences(prompts, asked, pad_id=policy.pad_id, device=device).responses
    return token_log_probs(response_logits(policy.model, batch), targets)
