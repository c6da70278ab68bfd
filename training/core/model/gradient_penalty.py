"""A penalty on the norm of the gradient, so that learning prefers where the loss is flat."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

__all__ = ["penalise_gradients"]


def penalise_gradients(
    parameters: Iterable[nn.Parameter],
    again: Callable[[], object],
    *,
    penalty: float,
    probe: float,
    scale: float = 1.0,
    beside: Iterable[nn.Parameter] = (),
) -> None:
    """Turn the gradients g of a loss L into those of L + penalty / 2 |g|^2, to first order in `probe`.

    g + penalty (g(theta + probe g) - g) / probe: the penalty's gradient is the Hessian times g, taken as a
    finite difference along g (Karakida 2023, arXiv 2210.02720; against over-optimised rewards Ackermann 2026,
    arXiv 2602.18037). Exact where L is quadratic; a penalty equal to `probe` leaves the gradient at the
    moved weights alone. What was sampled stays: the second gradient is on the same completions.

    `again` leaves the gradients at the weights as they then are where backward passes leave them; those of
    `beside` are computed with them and put back. `scale` is what mixed precision has multiplied gradients by.
    The weights end as they were, bit for bit; a copy of them and of the first gradients is held meanwhile.
    """
    owners = [p for p in parameters if p.grad is not None]
    others = [(p, p.grad) for p in beside]
    weights = [p.detach().clone() for p in owners]
    first = [_gradient(p) for p in owners]
    with torch.no_grad():
        for p, gradient in zip(owners, first, strict=True):
            p.add_(gradient, alpha=probe / scale)
    for p in (*owners, *(p for p, _ in others)):
        p.grad = None
    again()
    with torch.no_grad():
        for p, weight, gradient in zip(owners, weights, first, strict=True):
            p.copy_(weight)
            p.grad = torch.lerp(gradient, _gradient(p), penalty / probe)
    for p, kept in others:
        p.grad = kept


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
