"""The operators of a packed Llama layer: written out for a CPU, PyTorch's own on a GPU.

A CPU computes as long as it multiplies, so weights are joined into large products and backward passes keep
what they can. A GPU waits for Python where layers are small, and joining weights of a large one moves more
bytes than it saves; there every operator is a single call whose backward pass needs no Python.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "NativeOperators",
    "Operators",
    "WrittenOutOperators",
    "autocast_dtype",
    "operators_for",
    "working",
]


class Operators(Protocol):
    """N tokens, H hidden channels; rectangles as in `training.core.packed.llama.PackedRows`."""

    @staticmethod
    def norm(hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        """[N, H] -> [N, H]: root mean square norm (Zhang and Sennrich 2019)."""

    @staticmethod
    def turned(attention: Any, inner: Tensor, turn: Tensor) -> Tensor:
        """[N, H] -> [N, C]: queries, keys, values side by side; rotated by `turn` [N, 1, channels / 2].

        The two channels of a rotation stand beside each other, in queries and keys alike: attention only
        reads their inner products.
        """

    @staticmethod
    def gated(mlp: Any, inner: Tensor) -> Tensor:
        """[N, H] -> [N, F]: silu(gate) * up (Shazeer 2020, SwiGLU)."""

    @staticmethod
    def spread(tokens: Tensor, places: Tensor, sources: Tensor) -> Tensor:
        """[N, C] -> [B * W, C]; where no token stands anything finite, whose gradient is 0."""

    @staticmethod
    def collect(table: Tensor, places: Tensor) -> Tensor:
        """[S, C] -> [M, C]: the rows at `places`, each at most once and in rising order."""


def operators_for(device: torch.device) -> type[Operators]:
    return NativeOperators if device.type == "cuda" else WrittenOutOperators


class NativeOperators:
    """One call for each, and matrices as they are."""

    @staticmethod
    def norm(hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        return functional.rms_norm(hidden, weight.shape, weight, eps)

    @staticmethod
    def turned(attention: Any, inner: Tensor, turn: Tensor) -> Tensor:
        inner, half = working(inner), turn.shape[-1]
        queries, keys, values = (
            functional.linear(inner, projection.weight)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        both = torch.cat([queries, keys], dim=-1).float().view(len(inner), -1, 2, half)
        points = torch.view_as_real(torch.complex(both[:, :, 0], both[:, :, 1]) * turn)
        return torch.cat([points.to(values.dtype).flatten(1), values], dim=-1)

    @staticmethod
    def gated(mlp: Any, inner: Tensor) -> Tensor:
        inner = working(inner)
        gate, up = (functional.linear(inner, p.weight) for p in (mlp.gate_proj, mlp.up_proj))
        return functional.silu(gate) * up

    @staticmethod
    def spread(tokens: Tensor, places: Tensor, sources: Tensor) -> Tensor:
        return tokens if len(tokens) == len(sources) else tokens.index_select(0, sources)

    @staticmethod
    def collect(table: Tensor, places: Tensor) -> Tensor:
        return table if len(table) == len(places) else table.index_select(0, places)


class WrittenOutOperators:
    """Joined matrices, and backward passes that know what their operator is used for."""

    @staticmethod
    def norm(hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        return _RootMeanSquareNorm.apply(hidden, weight, eps)  # type: ignore[no-any-return, no-untyped-call]

    @staticmethod
    def turned(attention: Any, inner: Tensor, turn: Tensor) -> Tensor:
        width = 2 * turn.shape[-1]
        joined = torch.cat([attention.q_proj.weight, attention.k_proj.weight])
        weights = [_paired(joined, width), attention.v_proj.weight]
        found = functional.linear(inner, torch.cat(weights))
        both, values = found.tensor_split([len(joined)], dim=-1)
        points = torch.view_as_complex(both.float().reshape(len(inner), -1, width // 2, 2))
        both = torch.view_as_real(points * turn).to(found.dtype).reshape(len(inner), -1)
        return torch.cat([both, values], dim=-1)

    @staticmethod
    def gated(mlp: Any, inner: Tensor) -> Tensor:
        joined = functional.linear(inner, torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]))
        return _SiluGate.apply(joined)  # type: ignore[no-any-return, no-untyped-call]

    @staticmethod
    def spread(tokens: Tensor, places: Tensor, sources: Tensor) -> Tensor:
        if len(tokens) == len(sources):
            return tokens
        return _Spread.apply(tokens, places, len(sources))  # type: ignore[no-any-return, no-untyped-call]

    @staticmethod
    def collect(table: Tensor, places: Tensor) -> Tensor:
        if len(places) == len(table):
            return table
        return _Collect.apply(table, places)  # type: ignore[no-any-return, no-untyped-call]


def _paired(weights: Tensor, width: int) -> Tensor:
    """Rows of each head reordered so that the two channels of one rotation are neighbours."""
    heads = weights.view(-1, 2, width // 2, weights.shape[1])
    return heads.transpose(1, 2).reshape(weights.shape)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, places: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(places)
        return tokens.new_zeros(size, tokens.shape[1]).index_copy_(0, places, tokens)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return grads[0].index_select(0, places), None, None


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.size = len(table)
        return table.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        grad = grads[0]
        return grad.new_zeros(ctx.size, grad.shape[1]).index_copy_(0, places, grad), None


class _SiluGate(torch.autograd.Function):
    """gate * sigmoid(gate) * up (Shazeer 2020, SwiGLU) of [N, 2 F], gate and up side by side.

    The sigmoid is kept, so that the backward pass takes no exponential.
    """

    @staticmethod
    def forward(ctx: Any, joined: Tensor) -> Tensor:
        gate, up = joined.chunk(2, dim=-1)
        sigmoid = gate.sigmoid()
        ctx.save_for_backward(joined, sigmoid)
        return (gate * sigmoid).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        joined, sigmoid = ctx.saved_tensors
        gate, up = joined.chunk(2, dim=-1)
        result = torch.empty_like(joined)
        for_gate, for_up = result.chunk(2, dim=-1)
        swish = gate * sigmoid
        torch.mul(grads[0], swish, out=for_up)
        # d(g s)/dg = s + g s (1 - s) = s + swish - swish s
        slope = swish.addcmul_(swish, sigmoid, value=-1).add_(sigmoid)
        torch.mul(slope.mul_(up), grads[0], out=for_gate)
        return result


class _RootMeanSquareNorm(torch.autograd.Function):
    """y = w x / s with s = sqrt(mean(x^2) + eps) (Zhang and Sennrich 2019), over the last dimension.

    With n = x / s and g = w dy: dw = sum dy n, dx = (g - n mean(g n)) / s.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = hidden.float()
        inverse = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        normal = (wide * inverse).to(hidden.dtype)
        ctx.save_for_backward(normal, inverse, weight)
        return weight * normal

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        normal, inverse, weight = ctx.saved_tensors
        upstream = grads[0]
        product = upstream * normal
        slope = product.sum(0)
        # mean(g n) of every row is a product with the weights: no table of its own.
        shared = torch.mv(product, weight).div_(len(weight)).unsqueeze(1)
        result = (upstream * weight).addcmul_(normal, shared, value=-1).mul_(inverse)
        return result.to(upstream.dtype), slope.to(weight.dtype), None


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """None outside autocast."""
    enabled = torch.is_autocast_enabled(device.type)
    return torch.get_autocast_dtype(device.type) if enabled else None


def working(operand: Tensor) -> Tensor:
    """As autocast would turn it before each product: here once for several."""
    dtype = autocast_dtype(operand.device)
    return operand if dtype is None else operand.to(dtype)
