"""Tiny random models whose caches are not, or not only, keys and values of all that was read."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

__all__ = ["FAMILIES", "VOCABULARY", "family_model"]

VOCABULARY, WINDOW = 23, 6
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
    "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "initializer_range": 0.3,
}  # fmt: skip
_SSM: dict[str, Any] = {
    "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_d_conv": 4,
    "mamba_expand": 2, "mamba_chunk_size": 8,
}  # fmt: skip
_LINEAR: dict[str, Any] = {
    "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
_EXPERTS: dict[str, Any] = {"num_experts": 2, "num_experts_per_tok": 1}
_STATES: dict[str, Any] = {"state_size": 8}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Jamba": ("JambaConfig", {
        "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "mamba_d_state": 8,
        "mamba_d_conv": 4, "mamba_dt_rank": 4, **_EXPERTS,
    }),
    "Mamba": ("MambaConfig", _STATES),
    "Mamba2": ("Mamba2Config", {**_STATES, "num_heads": 8, "n_groups": 1, "chunk_size": 8}),
    "FalconMamba": ("FalconMambaConfig", _STATES),
    "Qwen3Next": ("Qwen3NextConfig", {
        **_LINEAR, **_EXPERTS, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
    }),
    "Lfm2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"]}),
    "Bamba": ("BambaConfig", {"attn_layer_indices": [1], **_SSM}),
    "FalconH1": ("FalconH1Config", {"mamba_d_ssm": 64, **_SSM}),
    "GraniteMoeHybrid": ("GraniteMoeHybridConfig", {
        "layer_types": ["mamba", "attention"], "num_local_experts": 2, "num_experts_per_tok": 1,
        "shared_intermediate_size": 16, **_SSM,
    }),
    "Gemma2": ("Gemma2Config", {"sliding_window": WINDOW}),
    "Gemma3": ("Gemma3TextConfig", {
        "sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"],
    }),
    "Mistral": ("MistralConfig", {"sliding_window": WINDOW}),
}  # fmt: skip


def family_model(name: str) -> PreTrainedModel:
    config, changes = FAMILIES[name]
    torch.manual_seed(3)
    model: PreTrainedModel = getattr(transformers, f"{name}ForCausalLM")(
        getattr(transformers, config)(**(_SIZES | changes))
    )
    return model.eval()
