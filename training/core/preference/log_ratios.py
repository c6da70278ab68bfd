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

__all__ = [
    "LogProbs",
    "Text",
    "pair_log_probs",
    "pair_log_probs_all",
    "pair_texts",
    "pair_tokens",
    "prompt_of",
    "text_log_probs",
]


class LogProbs(NamedTuple):
    """log pi of completion 0 and of completion 1, both (B,) in fp32, in nats."""

    first: Tensor
    second: Tensor


class Text(NamedTuple):
    """A prompt and a completion of it, in token ids."""

    prompt: Sequence[int]
    response: Sequence[int]


def _parts(encoded: Encoded) -> Text:
    """Prompt and completion; where a chat template writes no prompt, the first token stands in for it."""
    begin = max(encoded.trained.index(True), 1)
    return Text(encoded.ids[:begin], encoded.ids[begin:])


def prompt_of(pair: EncodedPair) -> Sequence[int]:
    """The tokens before both completions of a pair."""
    return _parts(pair.first).prompt


def pair_texts(pairs: Sequence[EncodedPair]) -> list[Text]:
    """Completion 0 of every pair, then completion 1 of every pair."""
    first, second = _sides(pairs)
    return [_parts(encoded) for encoded in first + second]


def _sides(pairs: Sequence[EncodedPair]) -> tuple[list[Encoded], list[Encoded]]:
    return [pair.first for pair in pairs], [pair.second for pair in pairs]


def pair_tokens(pairs: Sequence[EncodedPair], *, device: torch.device) -> LogProbs:
    """How many tokens the sums of `pair_log_probs` run over, in their shape: at least 1."""
    first, second = ([max(1, len(_parts(e).response)) for e in side] for side in _sides(pairs))
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
    sums = text_log_probs(model, pair_texts(pairs), pad_id=pad_id, device=device)
    return LogProbs(sums[: len(pairs)], sums[len(pairs) :])


def text_log_probs(
    model: Any, texts: Sequence[Text], *, pad_id: int, device: torch.device
) -> Tensor:
    """log pi of each completion, [texts] in fp32, in one forward pass; gradients flow."""
    prompts, responses = zip(*texts, strict=True)
    batch = pack_sequences(prompts, responses, pad_id=pad_id, device=device)
    logits = response_logits(model, batch)
    taken = token_log_probs(logits, batch.responses)
    return taken.masked_fill(~batch.mask, 0).sum(1)


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
