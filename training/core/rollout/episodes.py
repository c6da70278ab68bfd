"""Sampled completions, and what policy, critic and reference say of each of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.core.data.sequences import (
    length_buckets,
    pack_sequences,
    pass_overhead,
    response_mask,
)
from training.core.model.actor_critic import ActorCritic, response_logits
from training.core.model.logprobs import token_log_probs, token_statistics
from training.core.rollout.kl import exact_kl

__all__ = ["Episodes", "TokenTables", "score_tokens"]


@dataclass(frozen=True)
class Episodes:
    """B sampled completions. `responses` are cut after their first EOS, which they include.

    `log_probs` are those of the engine that drew them; None for our own sampler, which needs no correction.
    """

    prompts: list[list[int]]
    responses: list[list[int]]
    ended: list[bool]
    texts: list[str]
    log_probs: list[list[float]] | None = None

    def response_mask(self, device: torch.device) -> Tensor:
        """[B, R] with R the longest response."""
        return response_mask([len(response) for response in self.responses], device=device)

    @property
    def written(self) -> int:
        """Tokens of all responses."""
        return sum(map(len, self.responses))

    @property
    def read(self) -> int:
        """Tokens of all prompts and responses."""
        return sum(self.lengths())

    def lengths(self) -> list[int]:
        """Tokens of each prompt with its response."""
        return [len(p) + len(r) for p, r in zip(self.prompts, self.responses, strict=True)]


class TokenTables(NamedTuple):
    """All [B, R] in fp32, 0 outside the mask; `exact_kl` is [N, R] for the first N rollouts."""

    log_probs: Tensor
    reference_log_probs: Tensor
    entropy: Tensor
    values: Tensor
    exact_kl: Tensor


def score_tokens(
    actor: ActorCritic,
    reference: Any,
    episodes: Episodes,
    *,
    temperature: float,
    pad_id: int,
    batch_size: int,
    exact_rollouts: int,
    device: torch.device,
) -> TokenTables:
    """Policy, critic and reference on every response token, in length buckets, without gradients.

    The temperature divides policy and reference logits alike.
    """
    width = max(len(response) for response in episodes.responses)
    rows, exact_rows = len(episodes.responses), min(exact_rollouts, len(episodes.responses))
    # Made outside inference mode: the loss keeps some of them for its backward pass.
    log_probs, reference_log_probs, entropy, values = torch.zeros(4, rows, width, device=device)
    exact = torch.zeros(exact_rows, width, device=device)
    tables = TokenTables(log_probs, reference_log_probs, entropy, values, exact)
    with torch.inference_mode():
        for bucket in length_buckets(
            episodes.lengths(),
            size=batch_size,
            packed=actor.packed,
            overhead=pass_overhead(device),
        ):
            _score_bucket(actor, reference, episodes, bucket, tables, temperature, pad_id)
    return tables


def _score_bucket(
    actor: ActorCritic,
    reference: Any,
    episodes: Episodes,
    bucket: Sequence[int],
    tables: TokenTables,
    temperature: float,
    pad_id: int,
) -> None:
    batch = pack_sequences(
        [episodes.prompts[row] for row in bucket],
        [episodes.responses[row] for row in bucket],
        pad_id=pad_id,
        device=tables.values.device,
    )
    logits, values = actor.logits_and_values(batch)
    own = token_statistics(logits, batch.responses, temperature=temperature)
    other_logits = response_logits(reference, batch, packed=actor.packed)
    other = token_log_probs(other_logits, batch.responses, temperature=temperature)
    rows, width = torch.tensor(bucket, device=values.device), batch.mask.shape[1]
    results = (own.log_probs, other, own.entropy, values)
    for table, result in zip(tables, results, strict=False):
        table[rows, -width:] = result.masked_fill(~batch.mask, 0)
    exact = rows < len(tables.exact_kl)
    if exact.any():
        kl = exact_kl(logits[exact], other_logits[exact], temperature=temperature)
        tables.exact_kl[rows[exact], -width:] = kl.masked_fill(~batch.mask[exact], 0)
