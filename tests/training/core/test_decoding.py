"""Decoders against the model's own pass over the whole sequence, without any cache."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from training.contracts import Sampling
from training.core.decoding import LlamaDecoder, ModelDecoder, decoder_open
from training.core.generation import draw, generate, uniform_draws

VOCABULARY, PROMPT, STEPS = 23, 5, 4


def llama(**changes) -> LlamaForCausalLM:
    torch.manual_seed(4)
    sizes = {
        "vocab_size": VOCABULARY, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32,
        "initializer_range": 0.3, "pad_token_id": 0,
    }  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(**(sizes | changes))).eval()


def rows_of_different_lengths() -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [4, PROMPT + STEPS] and their mask; the prompts are padded on the left."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, VOCABULARY, (4, PROMPT + STEPS), generator=generator)
    mask = torch.ones_like(ids, dtype=torch.bool)
    for row, padding in enumerate([0, 3, 1, 4]):
        ids[row, :padding], mask[row, :padding] = 0, False
    return ids, mask


@torch.no_grad()
def whole_pass(model, ids, mask):
    positions = (mask.long().cumsum(1) - 1).clamp_min(0)
    return model(input_ids=ids, attention_mask=mask.long(), position_ids=positions).logits[:, -1]


@torch.inference_mode()
def assert_follows_the_model(model, decoder) -> None:
    """Prompt, two steps, two rows leave, two more steps: always the logits of a fresh pass."""
    ids, mask = rows_of_different_lengths()
    positions = (mask.long().cumsum(1) - 1).clamp_min(0)
    logits = decoder.begin(ids[:, :PROMPT], mask[:, :PROMPT], positions[:, :PROMPT])
    for end in range(PROMPT, PROMPT + STEPS + 1):
        fresh = whole_pass(model, ids[:, :end], mask[:, :end])
        torch.testing.assert_close(logits, fresh, rtol=0, atol=1e-5)
        if end == PROMPT + 2:
            rows = torch.tensor([1, 3])
            decoder.keep(rows)
            ids, mask, positions = ids[rows], mask[rows], positions[rows]
        if end < PROMPT + STEPS:
            logits = decoder.step(ids[:, end], mask[:, : end + 1], positions[:, end : end + 1])


@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.parametrize("tied", [False, True])
def test_a_llama_step_equals_its_own_forward_pass(key_heads, tied):
    model = llama(num_key_value_heads=key_heads, tie_word_embeddings=tied)
    decoder = decoder_open(model, room=PROMPT + STEPS)
    assert type(decoder) is LlamaDecoder
    assert_follows_the_model(model, decoder)


@pytest.mark.parametrize(
    "changes",
    [
        {"attention_bias": True},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}},
        {"attn_implementation": "eager"},
    ],
)
def test_a_llama_that_is_not_plain_is_run_by_its_own_code(changes):
    model = llama(**changes)
    decoder = decoder_open(model, room=PROMPT + STEPS)
    assert type(decoder) is ModelDecoder
    assert_follows_the_model(model, decoder)


def test_another_architecture_is_run_by_its_own_code():
    torch.manual_seed(2)
    config = GPT2Config(vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=32)
    model = GPT2LMHeadModel(config).eval()
    decoder = decoder_open(model, room=PROMPT + STEPS)
    assert type(decoder) is ModelDecoder
    assert_follows_the_model(model, decoder)


def test_completions_equal_those_of_one_row_at_a_time_without_a_cache():
    """40 rows of which many end at different steps, so that rows leave several times."""
    model, ends, sampling = llama(), [3, 4, 5, 6], Sampling(max_new_tokens=9)
    generator = torch.Generator().manual_seed(8)
    sizes = torch.randint(1, PROMPT + 1, (40,), generator=generator).tolist()
    prompts = [torch.randint(7, VOCABULARY, (n,), generator=generator).tolist() for n in sizes]
    seeds = list(range(100, 140))
    found = generate(model, prompts, seeds=seeds, sampling=sampling, pad_id=0, end_ids=ends)
    uniform = uniform_draws(seeds, 9)
    for row, prompt in enumerate(prompts):
        tokens = list(prompt)
        for t in range(9):
            ids = torch.tensor([tokens])
            logits = whole_pass(model, ids, torch.ones_like(ids, dtype=torch.bool))
            tokens.append(int(draw(logits, uniform[row : row + 1, t], sampling)))
            if tokens[-1] in ends:
                break
        assert found.response(row) == tokens[len(prompt) :]
        assert bool(found.ended[row]) == (tokens[-1] in ends)
    assert 0 < int(found.ended.sum()) < 40
    assert len(set(found.lengths.tolist())) > 3
