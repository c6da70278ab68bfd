"""Gradients with a penalty on their own norm: exact on a parabola, to first order elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from training.core.model.gradient_penalty import penalise_gradients

A = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)


def parameter(values: list[float]) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def parabola(theta: Tensor, scale: float = 1.0) -> None:
    (scale * theta @ A @ theta / 2).backward()


def test_on_a_parabola_it_is_the_gradient_plus_the_hessian_times_it() -> None:
    theta = parameter([1.0, -2.0])
    parabola(theta)
    # g = A theta = (1, -1.5); A g = (1.25, -1)
    penalise_gradients([theta], lambda: parabola(theta), penalty=0.1, probe=0.5)
    assert theta.grad is not None
    assert theta.grad.tolist() == pytest.approx([1.125, -1.6])
    assert theta.tolist() == [1.0, -2.0]


def test_elsewhere_it_nears_the_penalised_loss_as_the_probe_shrinks() -> None:
    """Against autograd on L + penalty / 2 |grad L|^2 itself."""
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    targets = torch.randn(6, generator=generator, dtype=torch.float64)
    start = torch.randn(3, generator=generator, dtype=torch.float64)

    def loss(theta: Tensor) -> Tensor:
        return ((inputs @ theta).tanh() - targets).square().mean()

    whole = nn.Parameter(start.clone())
    (slope,) = torch.autograd.grad(loss(whole), whole, create_graph=True)
    (expected,) = torch.autograd.grad(loss(whole) + 0.3 / 2 * slope.square().sum(), whole)
    assert float((expected - slope).detach().abs().max()) > 0.01
    errors = []
    for probe in (1e-2, 1e-4):
        theta = nn.Parameter(start.clone())
        loss(theta).backward()
        penalise_gradients([theta], lambda: loss(theta).backward(), penalty=0.3, probe=probe)  # noqa: B023
        assert theta.grad is not None
        assert torch.equal(theta.detach(), start)
        errors.append(float((theta.grad - expected).abs().max()))
    assert errors[1] < errors[0] / 20
    assert errors[1] < 1e-3


def test_scaled_gradients_end_scaled_alike() -> None:
    plain, scaled = parameter([1.0, -2.0]), parameter([1.0, -2.0])
    for theta, scale in ((plain, 1.0), (scaled, 1024.0)):
        parabola(theta, scale)

        def again(theta: nn.Parameter = theta, scale: float = scale) -> None:
            parabola(theta, scale)

        penalise_gradients([theta], again, penalty=0.1, probe=0.01, scale=scale)
    assert plain.grad is not None
    assert scaled.grad is not None
    torch.testing.assert_close(scaled.grad / 1024, plain.grad)


def test_what_stands_beside_keeps_its_gradient_and_what_has_none_stays_out() -> None:
    theta, beside, idle = parameter([1.0, -2.0]), parameter([3.0, 1.0]), parameter([5.0, 5.0])

    def both() -> None:
        parabola(theta)
        (beside.square().sum() * theta.detach().sum()).backward()

    both()
    assert beside.grad is not None
    before = beside.grad.clone()
    penalise_gradients([theta, idle], both, penalty=0.1, probe=0.5, beside=[beside])
    assert torch.equal(beside.grad, before)
    assert idle.grad is None
    assert theta.grad is not None
    assert theta.grad.tolist() == pytest.approx([1.125, -1.6])
