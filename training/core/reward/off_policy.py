"""Weights of old pairs, so that a reward model is right where the policy writes now.

Off-policy corrected reward modelling (OCRM; Ackermann, Ishida and Sugiyama 2025, arXiv 2507.15507): the loss on
pairs that an older policy wrote is an estimate of the loss on the present policy's once each pair counts

    w = [pi(y_0 | x) pi(y_1 | x)] / [mu_0(y_0 | x) mu_1(y_1 | x)]

with pi the present policy and mu_i the one that wrote completion i. Of a completion whose writer is not known, or a
person, the ratio counts as 1. Products of hundreds of tokens' ratios vary without bound, so that w may be flattened,
w^power (Shimodaira 2000), is truncated (Ionides 2008), and is divided by its mean: labels together weigh what they did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from annotation.rows import PreferenceRow, Writer
from training.core.data.batches import sorted_batches
from training.core.data.json_lines import Message
from training.core.data.sequences import pack_sequences
from training.core.data.tokenizers import completion_encode, prompt_encode
from training.core.model.actor_critic import response_logits
from training.core.model.context import context_length
from training.core.model.loading import LoadedModel
from training.core.model.logprobs import token_log_probs

__all__ = [
    "Correction",
    "DrawnText",
    "importance_factors",
    "pair_log_ratios",
    "written_by",
    "written_log_probs",
]


@dataclass(frozen=True)
class DrawnText:
    """A completion, the prompt that it answers, and how it was drawn."""

    messages: Sequence[Message]
    text: str
    writer: Writer


@dataclass(frozen=True)
class Correction:
    """`factors` multiply the weights of N pairs, 1 where nothing is known.

    `known` pairs have a ratio, `capped` of them a truncated one. `effective_share` is the share of them that as
    many equal weights would be (Kish 1965), (sum w f)^2 / (sum w sum w f^2); 1 where none is known.
    """

    factors: list[float]
    known: int
    capped: int
    effective_share: float

    @property
    def effective(self) -> float:
        return self.effective_share * self.known


def importance_factors(
    log_ratios: Sequence[float | None], weights: Sequence[float], *, power: float, cap: float
) -> Correction:
    """Factors from log w of N pairs, None where it is not known, and the weights (N,) that they multiply.

    min(w^power, cap) over its mean, by the weights, over the pairs that are known: what is known keeps its whole
    weight against what is not. Worked out by logarithms, since w itself may be too large or too small for a number.
    """
    known = [i for i, ratio in enumerate(log_ratios) if ratio is not None]
    if not sum(weights[i] for i in known) > 0:
        return Correction([1.0] * len(log_ratios), 0, 0, 1.0)
    raw = torch.tensor([log_ratios[i] for i in known], dtype=torch.float64) * power
    given = torch.tensor([weights[i] for i in known], dtype=torch.float64)
    logs = raw.clamp(max=math.log(cap))
    mean = torch.logsumexp(logs + given.log(), 0) - given.sum().log()
    found = (logs - mean).exp()
    share = (given * found).sum().square() / (given.sum() * (given * found.square()).sum())
    factors = [1.0] * len(log_ratios)
    for i, factor in zip(known, found.tolist(), strict=True):
        factors[i] = factor
    return Correction(factors, len(known), int((raw > math.log(cap)).sum()), float(share))


def written_by(row: PreferenceRow, names: Mapping[str, str]) -> tuple[DrawnText | None, ...]:
    """The two completions of a pair that one of the models `names` (id -> name) drew, each with that name.

    None for one of a person, of a model that is not at hand, or whose distribution was cut (`top_k`, `top_p`,
    temperature 0): its probability under another policy is another thing than it was drawn by.
    """
    if not row.writers:
        return (None, None)
    return tuple(
        DrawnText(
            row.messages, text, Writer(names[writer.model], writer.temperature, ended=writer.ended)
        )
        if writer.model in names and writer.whole
        else None
        for text, writer in zip(row.completions, row.writers, strict=True)
    )


def pair_log_ratios(
    pairs: Sequence[tuple[DrawnText | None, ...]],
    present: Mapping[tuple[int, int], float],
    then: Mapping[tuple[int, int], float],
) -> list[float | None]:
    """log w of each pair; `present` and `then` have log pi and log mu by (pair, completion), where they differ.

    A completion that the present policy wrote itself has a ratio of 1, and stands in neither. None for a pair of
    which no writer is known.
    """
    found: list[float | None] = []
    for number, sides in enumerate(pairs):
        keys = [(number, side) for side, one in enumerate(sides) if one is not None]
        ratio = sum(present[key] - then[key] for key in keys if key in then)
        found.append(float(ratio) if keys else None)
    return found


@torch.inference_mode()
def written_log_probs(
    policy: LoadedModel, texts: Sequence[DrawnText], *, batch_size: int, device: torch.device
) -> Tensor:
    """(N,) log pi(y | x) in nats, in fp32 on the CPU: of the text as it was drawn, at its temperature.

    The token that ends a turn is part of it where the text ended by itself. NaN where prompt and text are longer than
    the policy reads.
    """
    found = torch.full((len(texts),), torch.nan)
    limit = context_length(policy.model)
    encoded = [_encode(policy, one) for one in texts]
    lengths = [len(prompt) + len(response) for prompt, response in encoded]
    for temperature in sorted({one.writer.temperature for one in texts}):
        rows = [
            i
            for i, one in enumerate(texts)
            if one.writer.temperature == temperature and (limit is None or lengths[i] <= limit)
        ]
        found[[i for i in rows if not encoded[i][1]]] = 0.0  # nothing was drawn
        rows = [i for i in rows if encoded[i][1]]
        for chunk in sorted_batches([lengths[i] for i in rows], batch_size):
            chosen = [rows[i] for i in chunk]
            prompts, responses = zip(*(encoded[i] for i in chosen), strict=True)
            batch = pack_sequences(prompts, responses, pad_id=policy.pad_id, device=device)
            logits = response_logits(policy.model, batch)
            taken = token_log_probs(logits, batch.responses, temperature=temperature)
            found[chosen] = taken.masked_fill(~batch.mask, 0).sum(1).cpu()
    return found


def _encode(policy: LoadedModel, one: DrawnText) -> tuple[list[int], list[int]]:
    response = completion_encode(policy.tokenizer, one.text)
    return prompt_encode(policy.tokenizer, one.messages), (
        response if one.writer.ended else response[:-1]
    )
