"""Small new models with a tokenizer learned from the training texts, as a `ModelSource` describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.contracts import ModelSource
from training.core.run.errors import UserError

__all__ = ["fresh_classifier", "fresh_policy", "seeded"]

BuiltT = TypeVar("BuiltT")


def seeded(seed: int, build: Callable[[], BuiltT]) -> BuiltT:
    """Draw new weights from `seed` without touching the global random state."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def fresh_policy(
    source: ModelSource, tokenizer: PreTrainedTokenizerBase, *, seed: int
) -> PreTrainedModel:
    """A Llama that speaks; weights from `seed`."""
    if source.architecture != "llama":
        raise UserError(f"A fresh policy must be a llama, not a {source.architecture}.")
    model = seeded(seed, lambda: LlamaForCausalLM(_llama_config(source, tokenizer)))
    # What a server does when a request names no sampling: the policy's own distribution.
    model.generation_config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0)
    return model


def fresh_classifier(
    source: ModelSource, tokenizer: PreTrainedTokenizerBase, *, seed: int
) -> PreTrainedModel:
    """A Llama or BERT with one output; weights from `seed`."""
    if source.architecture == "llama":
        return seeded(
            seed, lambda: LlamaForSequenceClassification(_llama_config(source, tokenizer))
        )
    return seeded(seed, lambda: BertForSequenceClassification(_bert_config(source, tokenizer)))


def _llama_config(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    return LlamaConfig(**_sizes(source, tokenizer), **ends, tie_word_embeddings=False)


def _bert_config(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> BertConfig:
    return BertConfig(**_sizes(source, tokenizer))


def _sizes(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What a Llama and a BERT call alike."""
    return {
        "vocab_size": max(tokenizer.get_vocab().values()) + 1,
        "hidden_size": source.hidden_size,
        "intermediate_size": source.feed_forward,
        "num_hidden_layers": source.layers,
        "num_attention_heads": source.heads,
        "max_position_embeddings": source.max_positions,
        "initializer_range": source.init_std,
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": 1,
    }
