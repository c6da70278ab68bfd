"""Sums over all processes, so that one batch means the same on one GPU and on many."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["Reduce", "local", "masked_mean", "masked_sum"]

Reduce = Callable[[Tensor], Tensor]
"""Adds a tensor up over all processes and gives every process the total."""


def local(value: Tensor) -> Tensor:
    """The reduction of a single process: nothing to add."""
    return value


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of `values` [B, R] where `mask` is True; a scalar."""
    return values.masked_fill(~mask, 0).sum()


def masked_mean(values: Tensor, mask: Tensor, *, reduce: Reduce = local) -> Tensor:
    """Mean of `values` [B, R] over True positions of `mask` in all processes; 0 where there is none."""
    return reduce(masked_sum(values, mask)) / reduce(mask.sum()).clamp(min=1)
