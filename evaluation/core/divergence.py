"""How far a policy moved from another one: exact KL per sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from evaluation.core.completions import DrawnCompletion
from evaluation.statistics.intervals import FloatArray
from training.core.data.batches import sorted_batches
from training.core.data.sequences import SequenceBatch, pack_sequences
from training.core.model.loading import LoadedModel
from training.core.rollout.kl import exact_kl
from training.core.run.errors import UserError

__all__ = ["response_logits", "sequence_kl"]


@torch.inference_mode()
def sequence_kl(
    policy: LoadedModel,
    other: LoadedModel,
    completions: Sequence[DrawnCompletion],
    *,
    temperature: float,
    batch_size: int,
) -> FloatArray:
    """KL(policy || other) of each of N completions that `policy` drew, in nats, shape [N].

    The sum over response positions, the end token's included, of the KL over the whole vocabulary
    at that position; its mean over completions is an unbiased estimate of the sequence KL.
    Both logits are divided by the sampling temperature (greedy: 1).
    """
    _require_same_vocabulary(policy, other)
    result = np.zeros(len(completions))
    lengths = [len(c.prompt) + len(c.response) for c in completions]
    device = next(policy.model.parameters()).device
    for rows in sorted_batches(lengths, batch_size):
        batch = pack_sequences(
            [completions[i].prompt for i in rows],
            [completions[i].response for i in rows],
            pad_id=policy.pad_id,
            device=device,
        )
        ours, theirs = (response_logits(side, batch) for side in (policy, other))
        kl = exact_kl(ours, theirs, temperature=temperature or 1.0)
        result[rows] = kl.masked_fill(~batch.mask, 0.0).double().sum(1).cpu().numpy()
    return result


def response_logits(policy: LoadedModel, batch: SequenceBatch) -> Tensor:
    """[B, R, V]: the logits that predict each response token."""
    policy.model.eval()
    logits: Tensor = policy.model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        position_ids=batch.position_ids,
        logits_to_keep=batch.responses.shape[1] + 1,
    ).logits
    return logits[:, :-1]


def _require_same_vocabulary(policy: LoadedModel, other: LoadedModel) -> None:
    if policy.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        raise UserError(
            "The KL to another policy needs one vocabulary, but the tokenizers differ; "
            "give a reference that the candidate was trained from."
        )
