"""A Llama's training pass on real tokens only, in few and large operators.

Rows of different lengths make a rectangle with padding, and every layer multiplies the padding too. Here
all real tokens of a batch stand in one list [N, H]; rows are told apart in attention alone. Queries, keys
and values come from one product, gate and up from another; rotary positions are one complex product;
the norm's backward pass is written out. Same function and same gradients as the model's own code, to
rounding; plain Llamas only (`packable`), everything else keeps its own way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaModel

__all__ = ["PackedRows", "pack_rows", "packable", "packed_hidden", "packed_logits"]


class PackedRows(NamedTuple):
    """The N real tokens of a rectangle [B, T], row after row.

    ids, positions [N]; places [N]: where each stands in a rectangle [B * W] whose rows begin at the left
    end, W being the longest row; numbers [B, T]: the number in the list of the last real token up to there.
    """

    ids: Tensor
    positions: Tensor
    places: Tensor
    numbers: Tensor
    rows: int
    width: int


def packable(backbone: Any) -> bool:
    """A Llama as its paper has it, made of exact classes, whose layers are not recomputed."""
    if type(backbone) is not LlamaModel:
        return False
    config = backbone.config
    rope = getattr(config, "rope_parameters", None) or {}
    plain = config.hidden_act == "silu" and rope.get("rope_type", "default") == "default"
    modules = list(backbone.modules())
    matrices = [module for module in modules if hasattr(module, "in_features")]
    exact = all(type(m) is torch.nn.Linear and m.bias is None for m in matrices)
    return plain and exact and not any("forward" in vars(module) for module in modules)


def pack_rows(ids: Tensor, mask: Tensor) -> PackedRows:
    """From a padded rectangle: ids [B, T], mask [B, T] true on real tokens, in one stretch a row."""
    mask = mask.bool()
    lengths = mask.sum(1)
    positions = (mask.long().cumsum(1) - 1)[mask]
    width = int(lengths.max())
    row = torch.arange(len(ids), device=ids.device).repeat_interleave(lengths)
    numbers = (mask.flatten().long().cumsum(0) - 1).view(mask.shape)
    return PackedRows(ids[mask], positions, row * width + positions, numbers, len(ids), width)


def packed_hidden(backbone: Any, rows: PackedRows, wanted: Tensor) -> Tensor:
    """Last hidden states [M, H] of the tokens `wanted` [M] (numbers in the list, each once).

    After the final norm, with gradients towards every weight. Behind the last attention only the wanted
    tokens are computed: nothing reads the others.
    """
    config, eps = backbone.config, backbone.config.rms_norm_eps
    hidden = functional.embedding(rows.ids, backbone.embed_tokens.weight)
    cosines, sines = backbone.rotary_emb(hidden, rows.positions[None])
    half = cosines.shape[-1] // 2
    turn = torch.complex(cosines[0, :, :half].float(), sines[0, :, :half].float())[:, None]
    heads = (config.num_attention_heads, config.num_key_value_heads, 2 * half)
    for number, layer in enumerate(backbone.layers):
        attention, mlp = layer.self_attn, layer.mlp
        inner = _norm(hidden, layer.input_layernorm.weight, eps)
        found = _attend(attention, inner, turn, rows, heads)
        if number == len(backbone.layers) - 1:
            hidden, places = _collect(hidden, wanted), rows.places[wanted]
        else:
            places = rows.places
        hidden = hidden + functional.linear(_collect(found, places), attention.o_proj.weight)
        inner = _norm(hidden, layer.post_attention_layernorm.weight, eps)
        joined = functional.linear(inner, torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]))
        hidden = hidden + functional.linear(_gated(joined), mlp.down_proj.weight)
    return _norm(hidden, backbone.norm.weight, eps)


def packed_logits(model: Any, rows: PackedRows, wanted: Tensor) -> Tensor:
    """Logits [M, V] of a causal model after the tokens `wanted`."""
    return functional.linear(packed_hidden(model.model, rows, wanted), model.lm_head.weight)


def _attend(
    attention: Any, inner: Tensor, turn: Tensor, rows: PackedRows, heads: tuple[int, int, int]
) -> Tensor:
    """What each place of the rectangle [B * W, heads * channels] reads, before the output product."""
    queries, groups, width = heads
    turned = torch.cat([attention.q_proj.weight, attention.k_proj.weight])
    weights = [_paired(turned, width), attention.v_proj.weight]
    joined = functional.linear(inner, torch.cat(weights))
    both, values = joined.tensor_split([(queries + groups) * width], dim=-1)
    points = torch.view_as_complex(both.float().reshape(len(inner), -1, width // 2, 2))
    both = torch.view_as_real(points * turn).to(joined.dtype).reshape(len(inner), -1)
    table = _spread(torch.cat([both, values], dim=-1), rows)
    table = table.view(rows.rows, rows.width, -1, width).transpose(1, 2)
    query, key, value = table.tensor_split([queries, queries + groups], dim=1)
    if queries > groups:
        key, value = (t.repeat_interleave(queries // groups, dim=1) for t in (key, value))
    # Rows begin at the left end: what a real token may see lies before it, so no mask is needed.
    found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return found.transpose(1, 2).reshape(rows.rows * rows.width, queries * width)


def _paired(weights: Tensor, width: int) -> Tensor:
    """Rows of each head reordered so that the two channels of one rotation are neighbours.

    Queries and keys are reordered alike, and attention only reads their inner products.
    """
    heads = weights.view(-1, 2, width // 2, weights.shape[1])
    return heads.transpose(1, 2).reshape(weights.shape)


def _spread(tokens: Tensor, rows: PackedRows) -> Tensor:
    """[N, C] -> [B * W, C], zeros where no token stands."""
    if len(tokens) == rows.rows * rows.width:
        return tokens
    return _Spread.apply(tokens, rows.places, rows.rows * rows.width)  # type: ignore[no-any-return, no-untyped-call]


def _collect(table: Tensor, places: Tensor) -> Tensor:
    """[S, C] -> [M, C]: the rows at `places`, each at most once and in rising order."""
    if len(places) == len(table):
        return table
    return _Collect.apply(table, places)  # type: ignore[no-any-return, no-untyped-call]


def _gated(joined: Tensor) -> Tensor:
    return _SiluGate.apply(joined)  # type: ignore[no-any-return, no-untyped-call]


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


def _norm(hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
    return _RootMeanSquareNorm.apply(hidden, weight, eps)  # type: ignore[no-any-return, no-untyped-call]


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
