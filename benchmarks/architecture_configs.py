"""Configurations of a few thousand weights for every family of `transformers`, by one set of rules.

A family's own defaults are walked field by field, and each size that a rule knows is set to a small one
that goes with the others; nothing else is touched, so that a tiny model is made of the same parts as the
real ones. One layer of every kind that the defaults name is kept. Sparse attention may choose all that a
probe has: which of many equal keys it takes is a matter of rounding. `EXCEPTIONS` holds what no rule can
know: sizes that a family derives from one another in a way of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, PretrainedConfig

__all__ = ["POSITIONS", "WINDOW", "tiny_config"]

POSITIONS = 128
WINDOW = 16  # tokens that a sliding layer sees: fewer than a probe has
HIDDEN, HEADS, HEAD = 32, 4, 8
LAYERS = 2
MAX_KINDS = 4

_SIZES: tuple[tuple[int, str], ...] = (
    (HIDDEN, "hidden_size d_model n_embd dim emb_dim embedding_size embedding_dim embed_dim projection_dim"
    " word_embed_proj_dim true_hidden_size attention_hidden_size lru_width backbone_hidden_size"
    " pooler_hidden_size out_hidden_size vision_output_dim d_latents hidden_size_global input_embedding_size"
    " output_embedding_size prediction_head_size prompt_mid_dim cross_attention_hidden_size input_size"
    " projector_input_dim projector_output_dim intra_bottleneck_size output_channels router_hidden_size"
    " ple_embed_dim input_dim hidden_dim_global n_embed"),
    (2 * HIDDEN, "intermediate_size ffn_dim d_ff n_inner dff dim_ff d_inner hidden_dim ffn_hidden_size"
    " decoder_ffn_dim encoder_ffn_dim feed_forward_size moe_intermediate_size intermediate_size_mlp"
    " shared_expert_intermediate_size shared_intermediate_size expert_ffn_hidden_size mlp_dim"
    " shared_experts_intermediate_size moe_shared_expert_intermediate_size dense_intermediate_size"
    " mamba_d_ssm moe_latent_size"),
    (HEADS, "num_attention_heads num_heads n_head n_heads attention_heads decoder_attention_heads"
    " encoder_attention_heads num_encoder_attention_heads num_decoder_attention_heads"
    " num_self_attention_heads num_cross_attention_heads swa_num_attention_heads linear_num_heads"
    " linear_num_value_heads index_n_heads"),
    (2, "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers num_decoder_layers"
    " num_encoder_layers num_blocks num_experts_per_tok moe_topk moe_top_k moe_k num_experts_per_token"
    " top_k_experts linear_num_key_heads depth num_layers_per_stack num_global_layers n_layers_per_block"),
    (HEAD, "head_dim kv_channels d_kv d_head dim_head qk_nope_head_dim qk_rope_head_dim v_head_dim"
    " swa_head_dim swa_v_head_dim index_head_dim linear_head_dim linear_key_head_dim"
    " linear_value_head_dim mamba_d_head mamba_head_dim mamba_headdim global_head_dim attention_head_size"
    " hidden_size_per_layer_input ssm_state_size mamba_d_state state_size mamba_n_heads mamba_num_heads"
    " n_mamba_heads mamba_dt_rank time_step_rank chunk_size mamba_chunk_size adapter_rank gated_norm_rank"
    " d_rel hc_lowrank shape_embed_dim pronunciation_embed_dim coordinate_size shape_size altup_lora_rank"
    " codebook_dim base_channels conv_output_size altup_size laurel_rank adapter_reduction_factor"),
    (16, "kv_lora_rank q_lora_rank qk_head_dim num_latents o_lora_rank num_filters entity_emb_size"),
    (4, "num_experts num_local_experts n_routed_experts moe_num_experts rotary_dim"
    " zero_expert_num num_expert_group_size index_topk_blocks num_channels_latent"),
    (1, "n_group topk_group num_expert_group n_shared_experts num_shared_experts moe_num_shared_experts"
    " first_k_dense_replace num_dense_layers mamba_n_groups n_groups mamba_ngroups num_mem_blocks"),
    (POSITIONS, "max_position_embeddings n_positions n_ctx max_seq_len context_length max_2d_position_embeddings"
    " model_max_length original_max_position_embeddings max_source_positions max_target_positions"
    " rel_extent seq_length index_topk keep_window_size"),
    (WINDOW, "sliding_window attention_window sliding_window_size attention_window_size local_attention"
    " local_attention_window_len attention_chunk_size"),
    (512, "entity_vocab_size ngram_vocab_size_base encoder_hash_byte_group_vocab num_hash_buckets"
    " pronunciation_vocab_size shape_vocab_size codebook_size audio_vocab_size num_centroids"),
    (32, "image_size patch_size_large num_position_embeddings split_ngram_parts num_mel_bins"),
)  # fmt: skip
_RULES = {name: size for size, names in _SIZES for name in names.split()}
_GROUPED = ("num_key_value_heads", "num_kv_heads", "kv_n_heads", "swa_num_key_value_heads",
            "num_global_key_value_heads", "num_query_groups")  # fmt: skip
_TOKENS = re.compile(r"_token_(id|index)$|_(pad|bos|eos|unk|mask|sep)_(id|index)$")
_VOCABULARY = re.compile(r"(^|_)vocab_size(_per_layer_input)?$")
_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")

_MIXED = ["linear_attention", "full_attention"]
_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_INDEXER = {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": HEAD, "indexer_budget": POSITIONS,
            "indexer_compress_ratio": 4}  # fmt: skip
EXCEPTIONS: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {"sliding_attention": _ROPE, "full_attention": None},
    },
    "dbrx": {"attn_config.rope_theta": 10000.0, "attn_config.clip_qkv": 8.0},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "dots3_note": {
        "text_config.head_dim": 16, "vision_config.adapter_in_dim": HIDDEN, "vision_config.adapter_out_dim": HIDDEN,
        "audio_config.adapter_out_dim": HIDDEN, "audio_config.adapter_input_size": HIDDEN,
    },
    "dots3_note_text": {"head_dim": 16},
    "esm": {"vocab_size": 300, "pad_token_id": 0, "mask_token_id": 5},
    "esmc": {"vocab_size": 300},
    "gemma3n_text": {"num_kv_shared_layers": 2, "num_hidden_layers": 4},
    "gemma4_assistant": {"text_config.hidden_size_per_layer_input": 0},
    "gemma4_unified_assistant": {"text_config.num_kv_shared_layers": 0},
    "granitemoehybrid": {"layer_types": _MIXED},
    "hrm_text": {"num_layers_per_stack": None},
    "hunyuan_v1_dense": {"head_dim": HEAD},
    "hunyuan_v1_moe": {"head_dim": HEAD},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "layoutlmv3": {"coordinate_size": 4},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "lilt": {"hidden_size": 48},
    "mamba2": {"num_heads": 8},
    "markuplm": {"max_depth": 4},
    "minicpm3": {"dim_model_base": HIDDEN},
    "ministral": {"head_dim": HEAD},
    "mistral4": {"head_dim": ...},
    "nemotron": {"num_key_value_heads": 2},
    "qwen4_exp": {f"text_config.{name}": size for name, size in _INDEXER.items()},
    "qwen4_exp_text": _INDEXER,
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {
        "is_decoder": True, "axial_pos_shape": [8, 16], "axial_pos_embds_dim": [16, 16],
        "local_attn_chunk_length": 16, "lsh_attn_chunk_length": 16,
    },
    "t5": {"decoder_start_token_id": 0},
    "xlstm": {"chunk_size": 16},
    "zamba": {
        "num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "attention_hidden_size": 2 * HIDDEN, "attention_head_dim": 2 * HEAD,
    },
    "zamba2": {
        "num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "kv_channels": ..., "attention_hidden_size": ..., "attention_head_dim": ..., "mamba_headdim": ...,
    },
}  # fmt: skip


def tiny_config(
    family: str, reads: type[PretrainedConfig] | None, *, vocabulary: int, tokens: Mapping[str, int]
) -> tuple[PretrainedConfig, PretrainedConfig]:
    """The configuration of a tiny model of `family`, and the part of it that `reads` takes.

    `tokens` are the ids of the special tokens (bos, eos, pad, sep, cls, unk) and of one that no text has
    (other). Raises whatever the family's own configuration raises where sizes do not go together.
    """
    kind = CONFIG_MAPPING[family]
    own = EXCEPTIONS.get(family, {})
    fields = _defaults(kind, own)
    changed = _small(fields, vocabulary, tokens)
    for name, value in own.items():
        _set(changed, name, value)
    config = kind(**changed)
    return config, config if reads is None else _part(config, reads)


def _defaults(kind: type[PretrainedConfig], own: Mapping[str, Any]) -> dict[str, Any]:
    """The family's own defaults; where they contradict one another, with the exceptions in their place."""
    try:
        return dict(kind().to_dict())
    except ValueError:
        changed: dict[str, Any] = {}
        for name, value in own.items():
            _set(changed, name, value)
        return dict(kind(**changed).to_dict())


def _set(fields: dict[str, Any], path: str, value: Any) -> None:
    """Set `a.b`; an ellipsis takes away what a rule set, so that the family derives it itself."""
    *parents, name = path.split(".")
    for parent in parents:
        fields = fields.setdefault(parent, {})
    if value is ...:
        fields.pop(name, None)
    else:
        fields[name] = value


def _part(config: PretrainedConfig, kind: type[PretrainedConfig]) -> PretrainedConfig:
    """The part of a configuration that a class reads: all of it, or the one of its own kind."""
    parts = [getattr(config, name, None) for name in getattr(config, "sub_configs", {})]
    whole = [config, *(part for part in parts if part is not None)]
    return next((part for part in whole if type(part) is kind), config)


def _small(fields: Mapping[str, Any], vocabulary: int, tokens: Mapping[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict) and ("model_type" in value or name.endswith("_config")):
            found[name] = _small(value, vocabulary, tokens)
        elif _VOCABULARY.search(name) and isinstance(value, int) and name not in _RULES:
            found[name] = vocabulary if value > 64 else value
        elif _TOKENS.search(name):
            found |= _token(name, value, tokens)
        elif name in _GROUPED and isinstance(value, int):
            found[name] = _key_value_heads(value, fields)
        elif name in _RULES and isinstance(value, int) and not isinstance(value, bool):
            found[name] = min(_RULES[name], value) if value > 0 else value
    if "model_type" in fields:
        found["model_type"] = fields["model_type"]
    return found | _layers(fields)


def _token(name: str, value: Any, tokens: Mapping[str, int]) -> dict[str, Any]:
    role = next((role for role in tokens if role in name), "other")
    if isinstance(value, list):
        return {name: [tokens[role]]}
    if value is None and role not in ("bos", "eos", "pad"):
        return {}
    return {name: tokens[role]}


def _key_value_heads(value: int, fields: Mapping[str, Any]) -> int:
    heads = next(
        (fields[n] for n in ("num_attention_heads", "n_heads", "n_head") if n in fields), value
    )
    return HEADS if value == heads else min(value, 2)


def _layers(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Lists with an entry a layer, cut to one layer of every kind; and the number of layers."""
    name = next((n for n in _COUNTS if isinstance(fields.get(n), int)), None)
    if name is None:
        return {}
    count = fields[name]
    lists = {
        key: value for key, value in fields.items()
        if isinstance(value, list) and len(value) == count and count > 2
    }  # fmt: skip
    if not lists:
        return {}
    kinds: dict[str, int] = {}
    for layer, kind in enumerate(zip(*lists.values(), strict=True)):
        kinds.setdefault(repr(kind), layer)
    kept = sorted(kinds.values())[:MAX_KINDS]
    for layer in range(count):
        if len(kept) < LAYERS and layer not in kept:
            kept.append(layer)
    return {name: len(kept)} | {
        key: [value[i] for i in sorted(kept)] for key, value in lists.items()
    }
