"""Log-probabilities of whole completions, and pairs of them cut into batches.

They are those of the distribution itself, at temperature 1: that is what a preference loss is about, however
the policy is sampled where it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.core.data.batches import sorted_batches
from training.core.data.conversations import Encoded
from training.core.data.pairs import EncodedPair
from training.core.data.sequences import pack_sequences
from training.core.model.actor_critic import response_logits
from training.core.model.logprobs import token_log_probs

__all__ = ["LogProbs", "pair_log_probs", "pair_log_probs_all", "pair_tokens"]


class LogProbs(NamedTuple):
    """log pi of completion 0 and of completion 1, both (B,) in fp32, in nats."""

    first: Tensor
    second: Tensor


def _parts(encoded: Encoded) -> tuple[Sequence[int], Sequence[int]]:
    """Prompt and completion; where a chat template writes no prompt, the first token stands in for it."""
    begin = max(encoded.trained.index(True), 1)
    return encoded.ids[:begin], encoded.ids[begin:]


def _sides(pairs: Sequence[EncodedPair]) -> tuple[list[Encoded], list[Encoded]]:
    return [pair.first for pair in pairs], [pair.second for pair in pairs]


def pair_tokens(pairs: Sequence[EncodedPair], *, device: torch.device) -> LogProbs:
    """How many tokens the sums of `pair_log_probs` run over, in their shape: at least 1."""
    first, second = ([max(1, len(_parts(e)[1])) for e in side] for side in _sides(pairs))
    return LogProbs(
        torch.tensor(first, dtype=torch.float32, device=device),
        torch.tensor(second, dtype=torch.float32, device=device),
    )


def pair_log_probs(
    model: Any,
    pairs: Sequence[EncodedPair],
    *,
    pad_id: int,
    device: torch.device,
) -> LogProbs:
    """Both completions of every pair in one forward pass; gradients flow."""
    first, second = _sides(pairs)
    prompts, responses = zip(*map(_parts, first + second), strict=True)
    batch = pack_sequences(prompts, responses, pad_id=pad_id, device=device)
    logits = response_logits(model, batch)
    taken = token_log_probs(logits, batch.responses)
    sums = taken.masked_fill(~batch.mask, 0).sum(1)
    return LogProbs(sums[: len(pairs)], sums[len(pairs) :])


@torch.inference_mode()
def pair_log_probs_all(
    model: Any,
    pairs: Sequence[EncodedPair],
    *,
    pad_id: int,
    batch_size: int,
    device: torch.device,
) -> LogProbs:
    """The same for any number of pairs, in batches of similar length; no gradients, on the CPU."""
    first, second = torch.zeros(len(pairs)), torch.zeros(len(pairs))
    for batch in sorted_batches([pair.longest for pair in pairs], max(1, batch_size // 2)):
        found = pair_log_probs(model, [pairs[i] for i in batch], pad_id=pad_id, device=device)
        first[batch], second[batch] = found.first.cpu(), found.second.cpu()
    return LogProbs(first, second)
