"""Decoders with a key-value cache: one pass over the prompts, then one token a step.

`generate` of transformers, and a cache that grows by concatenation, copy every key and value of every
layer at every step, and a step of a small model is mostly the cost of calling modules. Here the cache has
its full size from the start, and for the Llama family a step calls the matrices themselves; on a GPU, where
calls cost more than what they do, all of a step is one graph. Every decoder gives the same logits as the
model's own forward pass, to rounding.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from training.core.packed.operators import autocast_dtype, working

__all__ = ["Decoder", "GraphLlamaDecoder", "LlamaDecoder", "ModelDecoder", "decoder_open"]


_RECURRENT = "cache_params"
"""What models without any attention, the Mamba family, call the cache; past the prompt they want no mask."""


class Decoder(Protocol):
    """Logits [B, V] after the last token of each row.

    `mask` [B, T] is true on real tokens up to and including the newest; `positions` [B, T] at the
    beginning and [B, 1] after it count real tokens from 0. Where `rows_leave` is false `keep` must not be
    called: rows that have ended go on with the others.
    """

    rows_leave: ClassVar[bool]

    def begin(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Read the prompts [B, T]."""

    def step(self, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Read one more token [B] of each row."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""


def decoder_open(model: PreTrainedModel, *, room: int) -> Decoder:
    """The leanest decoder that knows the model; `room` is the longest sequence in tokens."""
    if not _plain_llama(model):
        return ModelDecoder(model, room=room)
    fitting = GraphLlamaDecoder if model.device.type == "cuda" else LlamaDecoder
    return fitting(model, room=room)


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values written in place into buffers of `room` tokens; readers see a view.

    They are kept in `kept` where it is given, else as they come.
    """

    def __init__(self, room: int, kept: torch.dtype | None = None) -> None:
        super().__init__()
        self._room, self._kept = room, kept

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self._keys, self._values = (
            states.new_empty(*states.shape[:2], self._room, states.shape[-1], dtype=self._kept)
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

    def write(self, place: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """One token of each row at a place [1] that only the device knows; readers see all the room."""
        self._keys.index_copy_(2, place, keys.to(self._keys.dtype))
        self._values.index_copy_(2, place, values.to(self._values.dtype))
        return self._keys, self._values

    def clean(self) -> None:
        """Zeros where nothing was written: what a mask hides must still be a number."""
        self._keys[:, :, self._length :] = 0
        self._values[:, :, self._length :] = 0

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with these rows, as many as they are."""
        if not self.is_initialized:  # of a model that keeps its memory elsewhere
            return
        self._keys, self._values = (
            _rows_kept(buffer, beam_idx, self._length) for buffer in (self._keys, self._values)
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

    rows_leave: ClassVar[bool] = True

    def __init__(
        self, model: PreTrainedModel, *, room: int, kept: torch.dtype | None = None
    ) -> None:
        self._model = model
        self._recurrent = _RECURRENT in inspect.signature(type(model).forward).parameters
        self.cache = DynamicCache(config=model.config)
        # Other kinds of layers (sliding windows, recurrent states) keep their own way.
        self.cache.layers = [
            _RoomyLayer(room, kept) if type(layer) is DynamicLayer else layer
            for layer in self.cache.layers
        ]

    def begin(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        return self._forward(ids, mask, positions)

    def step(self, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        return self._forward(tokens[:, None], None if self._recurrent else mask, positions)

    def keep(self, rows: Tensor) -> None:
        # What beam search asks of every kind of layer: recurrent and convolutional states know no other way
        # of choosing rows, and layers that have such states beside keys would choose among the keys alone.
        self.cache.reorder_cache(rows)

    def _forward(self, ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        logits: Tensor = self._model(
            input_ids=ids,
            attention_mask=None if mask is None else mask.long(),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{_RECURRENT if self._recurrent else "past_key_values": self.cache},
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

    The prompts are read by the model itself, whose cache the steps then go on with. Under autocast
    matrices and cache are turned to its precision once, where each step would do it again.
    """

    rows_leave: ClassVar[bool] = True

    def __init__(self, model: Any, *, room: int) -> None:
        self._prefill = ModelDecoder(model, room=room, kept=autocast_dtype(model.device))
        self._model, config = model.model, model.config
        self._head = working(model.lm_head.weight)
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
        # With every token real no mask is needed: one query may see all that is in the cache.
        return self._read(tokens, positions[:, 0], mask[:, None, None] if self._padded else None)

    def _read(self, tokens: Tensor, positions: Tensor, seen: Tensor | None) -> Tensor:
        """tokens, positions [B]; heads stand as [B, heads, 1, channels] where attention needs it."""
        hidden = functional.embedding(tokens, self._model.embed_tokens.weight)
        cosines, sines = (t[positions, None] for t in (self._cosines, self._sines))
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
        keys, values = self._remember(
            cache, turned[:, heads:, None], joined[:, heads + groups :, None]
        )
        # Query heads that share a key head stand side by side, as rows of one small product.
        query = turned[:, :heads].reshape(rows, groups, heads // groups, self._width)
        found = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
        return functional.linear(found.reshape(rows, heads * self._width), weights[2])

    def _remember(self, cache: Any, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep those [B, heads, 1, channels] of the newest token; returns all that may be read."""
        found: tuple[Tensor, Tensor] = cache.update(keys, values)
        return found

    def _norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self._eps)
        return weight * wide.to(hidden.dtype)


class GraphLlamaDecoder(LlamaDecoder):
    """A Llama's step with every shape fixed: a GPU records it once and replays it for every token.

    Rows never leave, and attention reads all the room, masked: both cost less than hundreds of calls. On
    other devices the step runs as it is.
    """

    rows_leave: ClassVar[bool] = False

    def __init__(self, model: Any, *, room: int) -> None:
        super().__init__(model, room=-(-room // 16) * 16)  # GPU kernels copy a mask of odd width
        self._graph: Any = None

    def begin(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        logits = super().begin(ids, mask, positions)
        for cache in self._prefill.cache.layers:
            cache.clean()
        self._tokens, self._places = ids[:, -1].clone(), positions[:, -1].clone()
        self._seen = mask.new_zeros(len(ids), len(self._cosines))
        self._newest = torch.zeros(1, dtype=torch.long, device=ids.device)
        return logits

    def keep(self, rows: Tensor) -> None:
        raise NotImplementedError("Rows stay: the recorded step has so many.")

    def step(self, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        self._tokens.copy_(tokens)
        self._places.copy_(positions[:, 0])
        self._seen[:, : mask.shape[1]] = mask
        self._newest.fill_(mask.shape[1] - 1)
        if not tokens.is_cuda:
            return self._fixed()
        if self._graph is None:
            self._record()
        self._graph.replay()
        return self._logits

    def _record(self) -> None:
        """Once in vain, as libraries set themselves up in their first calls, then into the graph."""
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._fixed()
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._logits = self._fixed()

    def _fixed(self) -> Tensor:
        hidden = torch.zeros_like(self._seen, dtype=self._head.dtype)
        bias = hidden.masked_fill(~self._seen, float("-inf"))[:, None, None]
        return self._read(self._tokens, self._places, bias)

    def _remember(self, cache: Any, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = cache.write(self._newest, keys, values)
        return found


def _weights(layer: Any) -> tuple[Tensor, ...]:
    """Norm, query-key-value, output, norm, gate-up, down: six operands instead of nine modules."""
    attention, mlp = layer.self_attn, layer.mlp
    joined = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
    return (
        layer.input_layernorm.weight,
        working(torch.cat(joined)),
        working(attention.o_proj.weight),
        layer.post_attention_layernorm.weight,
        working(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])),
        working(mlp.down_proj.weight),
    )
