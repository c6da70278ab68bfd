"""Decoders with a key-value cache: one pass over the prompts, then one token a step.

`generate` of transformers, and a cache that grows by concatenation, copy every key and value of every
layer at every step, and a step of a small model is mostly the cost of calling modules. Here the cache has
its full size from the start, and for the Llama family a step calls the matrices themselves. Both
decoders give the same logits as the model's own forward pass, to rounding.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedModel
from transformers.cache_utils import DynamicLayer

__all__ = ["Decoder", "LlamaDecoder", "ModelDecoder", "decoder_open"]


class Decoder(Protocol):
    """Logits [B, V] after the last token of each row.

    `mask` [B, T] is true on real tokens up to and including the newest; `positions` [B, T] at the
    beginning and [B, 1] after it count real tokens from 0.
    """

    def begin(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Read the prompts [B, T]."""

    def step(self, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Read one more token [B] of each row."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""


def decoder_open(model: PreTrainedModel, *, room: int) -> Decoder:
    """The leanest decoder that knows the model; `room` is the longest sequence in tokens."""
    return LlamaDecoder(model, room=room) if _plain_llama(model) else ModelDecoder(model, room=room)


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values written in place into buffers of `room` tokens; readers see a view."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self._keys, self._values = (
            states.new_empty(*states.shape[:2], self._room, states.shape[-1])
            for states in (key_states, value_states)
        )
        self._show(0)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begin, end = self._length, self._length + key_states.shape[-2]
        self._keys[:, :, begin:end] = key_states
        self._values[:, :, begin:end] = value_states
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        self._keys, self._values = (
            _rows_kept(buffer, indices, self._length) for buffer in (self._keys, self._values)
        )
        self._show(self._length)

    def _show(self, length: int) -> None:
        self._length = length
        self.keys, self.values = self._keys[:, :, :length], self._values[:, :, :length]


def _rows_kept(buffer: Tensor, rows: Tensor, length: int) -> Tensor:
    """The chosen rows [B', ...] of a buffer [B, heads, room, channels]; only what is filled is copied."""
    kept = buffer.new_empty(len(rows), *buffer.shape[1:])
    kept[:, :, :length] = buffer[rows, :, :length]
    return kept


class ModelDecoder:
    """Any causal language model, by its own forward pass."""

    def __init__(self, model: PreTrainedModel, *, room: int) -> None:
        self._model = model
        self.cache = DynamicCache(config=model.config)
        # Other kinds of layers (sliding windows, recurrent states) keep their own way.
        self.cache.layers = [
            _RoomyLayer(room) if type(layer) is DynamicLayer else layer
            for layer in self.cache.layers
        ]

    def begin(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        return self._forward(ids, mask, positions)

    def step(self, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        return self._forward(tokens[:, None], mask, positions)

    def keep(self, rows: Tensor) -> None:
        self.cache.batch_select_indices(rows)

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        logits: Tensor = self._model(
            input_ids=ids,
            attention_mask=mask.long(),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits[:, -1]


def _plain_llama(model: PreTrainedModel) -> bool:
    """A Llama as its paper has it (Touvron 2023): no biases, SiLU, unscaled rotary positions.

    Exact classes only: an adapter, a quantised or a sharded layer is another class with a way of its own.
    """
    if type(model) is not LlamaForCausalLM or model.config._attn_implementation != "sdpa":
        return False
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    plain = config.hidden_act == "silu" and rope.get("rope_type", "default") == "default"
    matrices = [module for module in model.modules() if hasattr(module, "in_features")]
    return plain and all(type(m) is torch.nn.Linear and m.bias is None for m in matrices)


class LlamaDecoder:
    """A Llama's step as a handful of operators a layer: no modules, no masks rebuilt, no copies.

    The prompts are read by the model itself, whose cache the steps then go on with.
    """

    def __init__(self, model: Any, *, room: int) -> None:
        self._prefill = ModelDecoder(model, room=room)
        self._model, config = model.model, model.config
        self._head = model.lm_head.weight
        self._eps, self._groups = config.rms_norm_eps, config.num_key_value_heads
        self._width = self._model.layers[0].self_attn.head_dim
        self._heads = config.num_attention_heads
        self._layers = [_weights(layer) for layer in self._model.layers]
        places = torch.arange(room, device=self._head.device)[None]
        cosines, sines = self._model.rotary_emb(self._head, places)
        self._cosines, self._sines = cosines[0], sines[0]
        self._padded = True

    def begin(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        self._padded = not bool(mask.all())
        return self._prefill.begin(ids, mask, positions)

    def keep(self, rows: Tensor) -> None:
        self._prefill.keep(rows)

    def step(self, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """[B] tokens; heads and positions stand as [B, heads, 1, channels] where attention needs it."""
        hidden = functional.embedding(tokens, self._model.embed_tokens.weight)
        cosines, sines = (t[positions[:, 0], None] for t in (self._cosines, self._sines))
        # With every token real no mask is needed: one query may see all that is in the cache.
        seen = mask[:, None, None] if self._padded else None
        for weights, cache in zip(self._layers, self._prefill.cache.layers, strict=True):
            found = self._attend(
                self._norm(hidden, weights[0]), weights, cache, cosines, sines, seen
            )
            hidden = hidden + found
            inner = self._norm(hidden, weights[3])
            gate, up = functional.linear(inner, weights[4]).chunk(2, dim=-1)
            hidden = hidden + functional.linear(functional.silu(gate) * up, weights[5])
        return functional.linear(self._norm(hidden, self._model.norm.weight), self._head)

    def _attend(
        self,
        hidden: Tensor,
        weights: tuple[Tensor, ...],
        cache: Any,
        cosines: Tensor,
        sines: Tensor,
        seen: Tensor | None,
    ) -> Tensor:
        rows, heads, groups = len(hidden), self._heads, self._groups
        joined = functional.linear(hidden, weights[1]).view(rows, -1, self._width)
        turned = joined[:, : heads + groups]
        first, second = turned.chunk(2, dim=-1)
        turned = turned * cosines + torch.cat([-second, first], dim=-1) * sines
        keys, values = cache.update(turned[:, heads:, None], joined[:, heads + groups :, None])
        # Query heads that share a key head stand side by side, as rows of one small product.
        query = turned[:, :heads].reshape(rows, groups, heads // groups, self._width)
        found = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
        return functional.linear(found.reshape(rows, heads * self._width), weights[2])

    def _norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self._eps)
        return weight * wide.to(hidden.dtype)


def _weights(layer: Any) -> tuple[Tensor, ...]:
    """Norm, query-key-value, output, norm, gate-up, down: six operands instead of nine modules."""
    attention, mlp = layer.self_attn, layer.mlp
    joined = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
    return (
        layer.input_layernorm.weight,
        torch.cat(joined),
        attention.o_proj.weight,
        layer.post_attention_layernorm.weight,
        torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
        mlp.down_proj.weight,
    )
