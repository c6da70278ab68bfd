"""Tiny models of architectures that ask for something of their own: experts, tied tables, no library head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    FalconMambaConfig,
    FalconMambaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GptOssConfig,
    GptOssForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from tests.support.own_models import POSITIONS, tokenizer_write

LOW = -25.0


def _sizes(words: int, **own: Any) -> dict[str, Any]:
    return {
        "vocab_size": words, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": POSITIONS,
        "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": None, **own,
    }  # fmt: skip


def rare_decoder(name: str, words: int) -> Any:
    """Random weights, from the present random state."""
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    if name == "granite":
        return GraniteForCausalLM(GraniteConfig(**_sizes(words)))
    if name == "cohere":  # tied by default
        return CohereForCausalLM(CohereConfig(**_sizes(words)))
    if name == "falcon_mamba":
        sizes = {"state_size": 4, "conv_kernel": 2, "expand": 2, "time_step_rank": 2}
        return FalconMambaForCausalLM(FalconMambaConfig(**_sizes(words, **sizes)))
    if name == "mixtral":
        return MixtralForCausalLM(MixtralConfig(**_sizes(words, **experts)))
    if name == "gpt_oss":
        return GptOssForCausalLM(GptOssConfig(**_sizes(words, head_dim=8, **experts)))
    if name == "olmoe":
        own = {"num_experts": 4, "num_experts_per_tok": 2}
        return OlmoeForCausalLM(OlmoeConfig(**_sizes(words, **own)))
    if name == "qwen3_moe":  # the first layer is dense, the second a mixture
        own = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
        sizes = _sizes(words, head_dim=8, mlp_only_layers=[0], **own)
        return Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes))
    if name == "phi":  # the output layer has a bias
        return PhiForCausalLM(PhiConfig(**_sizes(words)))
    return _low_gpt2(words)


def _low_gpt2(words: int) -> Any:
    """A GPT-2 as trained ones are: tied tables, and all logits near -25."""
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=words, n_embd=16, n_layer=2, n_head=2, n_positions=POSITIONS,
            eos_token_id=2, bos_token_id=0,
        )
    )  # fmt: skip
    with torch.no_grad():
        direction = torch.ones(16) / 4
        model.transformer.wte.weight.add_(direction)
        model.transformer.ln_f.bias.copy_(LOW * direction)
    return model


def rare_write(path: Path, name: str, *, spare: int = 0, seed: int = 0, **tokenizer: Any) -> Path:
    """A model's folder; `spare` rows of its tables have no token."""
    path.mkdir(parents=True)
    words = len(tokenizer_write(path, **tokenizer))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rare_decoder(name, words + spare).save_pretrained(path)
    return path
