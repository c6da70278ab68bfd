"""A lean sampling loop with a key-value cache.

It does what `generate` does for plain sampling, without its overhead (`training.core.rollout.decoding`): rows
that have ended leave the batch, and each row draws from a generator of its own, so that a completion
depends on its prompt, its seed and the weights, not on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from training.contracts import Sampling
from training.core.data.batches import pad, sorted_batches
from training.core.model.logprobs import token_log_probs
from training.core.rollout.decoding import decoder_open

ENDED_SHARE = 0.25
"""Rows that have ended leave once they are this share of the batch: taking them out copies the cache."""


@dataclass(frozen=True)
class Generated:
    """Completions of B prompts, in the order of the prompts, on the CPU.

    prompt_ids (B, P) int64, left-padded; prompt_mask (B, P) bool, true for real tokens
    responses (B, R) int64, right-padded; response_mask (B, R) bool, true through the end token
    lengths (B,) int64 response tokens; ended (B,) bool, true where an end token was drawn
    log_probs (B, R) fp32, 0 outside the mask: of each token by the very logits that it was drawn from, at
    temperature 1; None where nobody asked
    """

    prompt_ids: Tensor
    prompt_mask: Tensor
    responses: Tensor
    response_mask: Tensor
    lengths: Tensor
    ended: Tensor
    log_probs: Tensor | None = None

    @property
    def sequences(self) -> Tensor:
        """(B, P + R): prompt and response side by side."""
        return torch.cat([self.prompt_ids, self.responses], dim=1)

    @property
    def attention_mask(self) -> Tensor:
        """(B, P + R) bool."""
        return torch.cat([self.prompt_mask, self.response_mask], dim=1)

    @property
    def position_ids(self) -> Tensor:
        """(B, P + R): cumsum(mask) - 1, at least 0."""
        return (self.attention_mask.long().cumsum(-1) - 1).clamp_min(0)

    def response(self, row: int) -> list[int]:
        """The tokens of one completion, its end token included."""
        return [int(t) for t in self.responses[row, : int(self.lengths[row])]]


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    seeds: Sequence[int],
    sampling: Sampling,
    pad_id: int,
    end_ids: Sequence[int],
    with_log_probs: bool = False,
) -> Generated:
    """Sample one completion per prompt, batched by length; `temperature` 0 is greedy."""
    if len(seeds) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts need as many seeds, not {len(seeds)}.")
    training = model.training
    model.eval()
    responses: list[list[int]] = [[] for _ in prompts]
    told: list[list[float]] = [[] for _ in prompts]
    for batch in sorted_batches([len(p) for p in prompts], sampling.batch_size):
        drawn = _generate_batch(
            model,
            [prompts[i] for i in batch],
            [seeds[i] for i in batch],
            sampling,
            pad_id,
            frozenset(end_ids),
            with_log_probs,
        )
        for i, tokens, log_probs in zip(batch, *drawn, strict=True):
            responses[i], told[i] = tokens, log_probs
    model.train(training)
    generated = _generated(prompts, responses, pad_id, frozenset(end_ids))
    if not with_log_probs:
        return generated
    table = torch.zeros(generated.responses.shape)
    table[generated.response_mask] = torch.tensor([p for row in told for p in row])
    return replace(generated, log_probs=table)


def _generated(
    prompts: Sequence[Sequence[int]],
    responses: list[list[int]],
    pad_id: int,
    end_ids: frozenset[int],
) -> Generated:
    left, right = pad(prompts, pad_id, side="left"), pad(responses, pad_id)
    return Generated(
        prompt_ids=left.ids,
        prompt_mask=left.mask,
        responses=right.ids,
        response_mask=right.mask,
        lengths=torch.tensor([len(r) for r in responses], dtype=torch.long),
        ended=torch.tensor([bool(r) and r[-1] in end_ids for r in responses], dtype=torch.bool),
    )


def _generate_batch(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    sampling: Sampling,
    pad_id: int,
    end_ids: frozenset[int],
    with_log_probs: bool,
) -> tuple[list[list[int]], list[list[float]]]:
    """Tokens of each row, and their log-probabilities, none where nobody asked."""
    device = next(model.parameters()).device
    padded = pad(prompts, pad_id, side="left")
    width = padded.ids.shape[1]
    mask = functional.pad(padded.mask, (0, sampling.max_new_tokens), value=True).to(device)
    positions = padded.position_ids.to(device)
    uniform = uniform_draws(seeds, sampling.max_new_tokens).to(device)
    ends = torch.tensor(sorted(end_ids), device=device)
    drawn = torch.full((len(prompts), sampling.max_new_tokens), pad_id, device=device)
    told = torch.zeros(drawn.shape if with_log_probs else (len(prompts), 0), device=device)
    lengths = torch.full((len(prompts),), sampling.max_new_tokens, device=device)
    rows = torch.arange(len(prompts), device=device)
    live = torch.ones_like(rows, dtype=torch.bool)
    decoder = decoder_open(model, room=width + sampling.max_new_tokens)
    logits = decoder.begin(padded.ids.to(device), mask[:, :width], positions)
    positions = positions[:, -1:]
    for t in range(sampling.max_new_tokens):
        tokens = draw(logits, uniform[:, t], sampling)
        drawn[rows, t] = tokens
        if with_log_probs:
            told[rows, t] = token_log_probs(logits, tokens)
        if len(ends):
            ending = torch.isin(tokens, ends) & live
            lengths[rows[ending]] = t + 1
            live &= ~ending
            count = int(live.sum())
            if count == 0:
                break
            if decoder.rows_leave and count <= len(live) * (1 - ENDED_SHARE):
                keep = live.nonzero().squeeze(1)
                decoder.keep(keep)
                tokens, mask, positions = tokens[keep], mask[keep], positions[keep]
                uniform, rows, live = uniform[keep], rows[keep], live[keep]
        if t + 1 < sampling.max_new_tokens:
            positions = positions + 1
            logits = decoder.step(tokens, mask[:, : width + t + 1], positions)
    ends_at = lengths.tolist()
    return (
        [tokens[:end] for tokens, end in zip(drawn.tolist(), ends_at, strict=True)],
        [known[:end] for known, end in zip(told.tolist(), ends_at, strict=True)],
    )


def uniform_draws(seeds: Sequence[int], steps: int) -> Tensor:
    """(B, steps) uniform numbers in [0, 1), float64; row i depends on seeds[i] alone."""
    generator = torch.Generator()
    rows = []
    for seed in seeds:
        generator.manual_seed(seed)
        rows.append(torch.rand(steps, generator=generator, dtype=torch.float64))
    return torch.stack(rows)


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """Tokens (B,) from logits (B, V) by inverting the cumulative distribution at `uniform` (B,)."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probabilities = (filter_logits(logits.float() / sampling.temperature, sampling)).softmax(-1)
    cumulative = probabilities.double().cumsum(-1)
    total = cumulative[:, -1:]
    # Below the total, so that rounding can never run past the last token with any probability.
    point = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, point, right=True).squeeze(1)


def filter_logits(logits: Tensor, sampling: Sampling) -> Tensor:
    """Keep the `top_k` largest (0: all) and the smallest set with mass `top_p` (1: all)."""
    if 0 < sampling.top_k < logits.shape[-1]:
        smallest = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, float("-inf"))
    if sampling.top_p < 1.0:
        ordered, order = logits.sort(dim=-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        drop = (before >= sampling.top_p).scatter(1, order, before >= sampling.top_p)
        logits = logits.masked_fill(drop, float("-inf"))
    return logits
