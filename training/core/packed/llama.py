"""A Llama's training pass on real tokens only, in few and large operators.

Rows of different lengths make a rectangle with padding, and every layer multiplies the padding too. Here
all real tokens of a batch stand in one list [N, H]; rows are told apart in attention alone. Which operators
make up a layer is a matter of the device (`training.core.packed.operators`). Same function and same
gradients as the model's own code, to rounding; plain Llamas only (`packable`), everything else keeps its
own way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaModel

from training.core.packed.operators import Operators, operators_for

__all__ = ["PackedRows", "pack_rows", "packable", "packed_hidden", "packed_logits"]


class PackedRows(NamedTuple):
    """The N real tokens of a rectangle [B, T], row after row.

    ids, positions [N]; places [N]: where each stands in a rectangle [B * W] whose rows begin at the left
    end, W being the longest row; sources [B * W]: the number in the list of the token at each place, or of
    the last one before it; numbers [B, T]: the same for the padded rectangle.
    """

    ids: Tensor
    positions: Tensor
    places: Tensor
    sources: Tensor
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
    places = row * width + positions
    sources = places.new_zeros(len(ids) * width)
    sources[places] = torch.arange(len(places), device=ids.device)
    numbers = (mask.flatten().long().cumsum(0) - 1).view(mask.shape)
    return PackedRows(
        ids[mask], positions, places, sources.cummax(0).values, numbers, len(ids), width
    )


def packed_hidden(backbone: Any, rows: PackedRows, wanted: Tensor) -> Tensor:
    """Last hidden states [M, H] of the tokens `wanted` [M] (numbers in the list, each once).

    After the final norm, with gradients towards every weight. Behind the last attention only the wanted
    tokens are computed: nothing reads the others.
    """
    config, eps = backbone.config, backbone.config.rms_norm_eps
    hidden = functional.embedding(rows.ids, backbone.embed_tokens.weight)
    operators = operators_for(hidden.device)
    cosines, sines = backbone.rotary_emb(hidden, rows.positions[None])
    half = cosines.shape[-1] // 2
    turn = torch.complex(cosines[0, :, :half].float(), sines[0, :, :half].float())[:, None]
    heads = (config.num_attention_heads, config.num_key_value_heads)
    for number, layer in enumerate(backbone.layers):
        attention = layer.self_attn
        inner = operators.norm(hidden, layer.input_layernorm.weight, eps)
        found = _attend(operators, operators.turned(attention, inner, turn), rows, heads)
        if number == len(backbone.layers) - 1:
            hidden, places = operators.collect(hidden, wanted), rows.places[wanted]
        else:
            places = rows.places
        found = operators.collect(found, places)
        hidden = hidden + functional.linear(found, attention.o_proj.weight)
        inner = operators.norm(hidden, layer.post_attention_layernorm.weight, eps)
        gated = operators.gated(layer.mlp, inner)
        hidden = hidden + functional.linear(gated, layer.mlp.down_proj.weight)
    return operators.norm(hidden, backbone.norm.weight, eps)


def packed_logits(model: Any, rows: PackedRows, wanted: Tensor) -> Tensor:
    """Logits [M, V] of a causal model after the tokens `wanted`."""
    return functional.linear(packed_hidden(model.model, rows, wanted), model.lm_head.weight)


def _attend(
    operators: type[Operators], tokens: Tensor, rows: PackedRows, heads: tuple[int, int]
) -> Tensor:
    """What each place of the rectangle [B * W, heads * channels] reads, before the output product.

    `tokens` [N, C] are queries, keys and values side by side.
    """
    queries, groups = heads
    table = operators.spread(tokens, rows.places, rows.sources)
    table = table.view(rows.rows, rows.width, queries + 2 * groups, -1).transpose(1, 2)
    query, key, value = table.tensor_split([queries, queries + groups], dim=1)
    if queries > groups:
        key, value = (t.repeat_interleave(queries // groups, dim=1) for t in (key, value))
    # Rows begin at the left end: what a real token may see lies before it, so no mask is needed.
    found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return found.transpose(1, 2).reshape(rows.rows * rows.width, -1)
