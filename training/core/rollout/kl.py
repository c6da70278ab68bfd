"""Divergence of the policy from the reference, per token and per sequence, in nats.

Estimators after J. Schulman, "Approximating KL divergence" (2020), for tokens drawn from the policy:
with l = log pi(y) - log pi_ref(y), k1 = l is unbiased and can be negative, k3 = exp(-l) - 1 + l is
unbiased, never negative, and heavy-tailed where the policy left the reference.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.core.model.logprobs import chunk_rows
from training.core.rollout.reduction import Reduce, local, masked_sum

__all__ = ["LOG_RATIO_LIMIT", "exact_kl", "k1", "k3", "sequence_mean"]

LOG_RATIO_LIMIT = 20.0
"""exp(20) is far outside any clip range and far inside fp32."""


def k1(log_probs: Tensor, reference_log_probs: Tensor) -> Tensor:
    """log pi - log pi_ref, elementwise; never clamped at 0."""
    return log_probs - reference_log_probs


def k3(log_probs: Tensor, reference_log_probs: Tensor) -> Tensor:
    """exp(-l) - 1 + l with l = log pi - log pi_ref, elementwise; never negative."""
    log_ratio = log_probs - reference_log_probs
    return torch.expm1(-log_ratio) + log_ratio


@torch.no_grad()
def exact_kl(logits: Tensor, reference_logits: Tensor, *, temperature: float) -> Tensor:
    """sum_v pi(v) (log pi(v) - log pi_ref(v)) at every position.

    Shapes: two times [B, R, V] -> [B, R] in fp32. Both are divided by `temperature`.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    reference = reference_logits.reshape(-1, logits.shape[-1])
    result = torch.empty(len(flat), dtype=torch.float32, device=flat.device)
    for rows in chunk_rows(flat):
        table = (flat[rows].float() / temperature).log_softmax(-1)
        other = (reference[rows].float() / temperature).log_softmax(-1)
        result[rows] = (table.exp() * (table - other)).nan_to_num(0.0).sum(-1)
    return result.view(logits.shape[:-1])


def sequence_mean(values: Tensor, mask: Tensor, *, reduce: Reduce = local) -> Tensor:
    """Sum of `values` [B, R] over each sequence's tokens, then the mean over all sequences."""
    sequences = torch.tensor(len(values), device=values.device)
    return reduce(masked_sum(values, mask)) / reduce(sequences).clamp(min=1)
