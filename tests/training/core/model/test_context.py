"""What a model reads at most, and the sentence where the settings ask for more."""

from __future__ import annotations

import pytest
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaModel,
)

from training.core.model.context import context_length, length_check
from training.core.run.errors import UserError


def llama(positions: int) -> LlamaForCausalLM:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "vocab_size": 10}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, max_position_embeddings=positions))


def test_texts_may_be_as_long_as_the_model_reads_and_no_longer() -> None:
    model = llama(12)
    length_check(12, model)
    with pytest.raises(UserError, match="max_length is 13, but the model reads at most 12 tokens"):
        length_check(13, model)


def test_positions_behind_a_padding_index_do_not_count() -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    config = RobertaConfig(
        **sizes, num_attention_heads=1, vocab_size=10, max_position_embeddings=14, pad_token_id=1
    )
    assert context_length(RobertaModel(config)) == 12


def test_a_model_that_names_no_limit_has_none() -> None:
    model = BloomForCausalLM(BloomConfig(vocab_size=10, hidden_size=8, n_layer=1, n_head=1))
    assert context_length(model) is None
    length_check(10**6, model)
