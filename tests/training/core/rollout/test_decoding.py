"""Decoders against the model's own pass over the whole sequence, without any cache."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tests.support.cache_families import FAMILIES, family_model
from training.contracts import Sampling
from training.core.rollout import generation
from training.core.rollout.decoding import (
    GraphLlamaDecoder,
    LlamaDecoder,
    ModelDecoder,
    decoder_open,
)
from training.core.rollout.generation import draw, generate, uniform_draws

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
    generator = torch.Generator("cpu").manual_seed(1)
    ids = torch.randint(1, VOCABULARY, (4, PROMPT + STEPS), generator=generator, device="cpu")
    ids = ids.to(torch.get_default_device())
    mask = torch.ones_like(ids, dtype=torch.bool)
    for row, padding in enumerate([0, 3, 1, 4]):
        ids[row, :padding], mask[row, :padding] = 0, False
    return ids, mask


@torch.no_grad()
def whole_pass(model, ids, mask):
    positions = (mask.long().cumsum(1) - 1).clamp_min(0)
    return model(input_ids=ids, attention_mask=mask.long(), position_ids=positions).logits[:, -1]


@torch.inference_mode()
def assert_follows_the_model(model, decoder, *, atol=1e-5) -> None:
    """Prompt, two steps, two rows leave (where they may), two more: always the logits of a fresh pass."""
    ids, mask = rows_of_different_lengths()
    positions = (mask.long().cumsum(1) - 1).clamp_min(0)
    logits = decoder.begin(ids[:, :PROMPT], mask[:, :PROMPT], positions[:, :PROMPT])
    for end in range(PROMPT, PROMPT + STEPS + 1):
        fresh = whole_pass(model, ids[:, :end], mask[:, :end])
        torch.testing.assert_close(logits, fresh, rtol=0, atol=atol)
        if end == PROMPT + 2 and decoder.rows_leave:
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


@pytest.mark.parametrize("key_heads", [1, 4])
def test_the_step_that_a_gpu_records_is_the_same_one(key_heads):
    model = llama(num_key_value_heads=key_heads)
    assert_follows_the_model(model, GraphLlamaDecoder(model, room=PROMPT + STEPS))


def test_where_rows_stay_every_text_still_ends_where_it_ended(monkeypatch):
    model, prompts = llama(), [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]
    sampling = Sampling(max_new_tokens=STEPS * 4)

    def drawn():
        return generate(
            model, prompts, seeds=range(4), sampling=sampling, pad_id=0, end_ids=[1, 2, 3]
        )

    leaving = drawn()
    assert len(set(leaving.lengths.tolist())) > 2
    monkeypatch.setattr(generation, "decoder_open", GraphLlamaDecoder)
    staying = drawn()
    assert torch.equal(staying.responses, leaving.responses)
    assert torch.equal(staying.ended, leaving.ended)


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


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kind_of_cache_follows_its_model_when_rows_leave(name):
    """Recurrent and convolutional states, windows shorter than a prompt, and layers of two kinds."""
    model = family_model(name)
    assert_follows_the_model(model, decoder_open(model, room=PROMPT + STEPS), atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_texts_of_every_kind_of_cache_are_those_of_one_row_at_a_time(name):
    """Prompts shorter and longer than the windows; rows end at different steps."""
    model = family_model(name)
    prompts = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [8, 4, 3], [9, 10], [11, 12, 13, 14]]

    def drawn(rows):
        return generate(
            model, [prompts[i] for i in rows], seeds=[20 + i for i in rows],
            sampling=Sampling(max_new_tokens=10), pad_id=0, end_ids=[1, 2, 3, 4, 5],
        )  # fmt: skip

    together = drawn(range(4))
    assert [together.response(i) for i in range(4)] == [drawn([i]).response(0) for i in range(4)]
    assert len(set(together.lengths.tolist())) > 1


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


@torch.inference_mode()
def test_under_autocast_a_llama_step_keeps_matrices_and_cache_in_its_precision():
    model = llama(num_key_value_heads=4)
    ids, mask = rows_of_different_lengths()
    positions = (mask.long().cumsum(1) - 1).clamp_min(0)
    with torch.autocast("cpu", torch.bfloat16):
        lean, whole = LlamaDecoder(model, room=9), ModelDecoder(model, room=9)
        for decoder in (lean, whole):
            decoder.begin(ids[:, :PROMPT], mask[:, :PROMPT], positions[:, :PROMPT])
        for end in range(PROMPT, PROMPT + STEPS):
            read = ids[:, end], mask[:, : end + 1], positions[:, end : end + 1]
            torch.testing.assert_close(lean.step(*read), whole.step(*read), rtol=0, atol=0.1)
    assert lean._layers[0][1].dtype == lean._head.dtype == torch.bfloat16
    assert lean._prefill.cache.layers[0].keys.dtype == torch.bfloat16
    assert model.lm_head.weight.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records a graph on a GPU")
@pytest.mark.parametrize("key_heads", [1, 4])
def test_a_replayed_step_follows_the_model(key_heads):
    with torch.device("cuda"):
        model = llama(num_key_value_heads=key_heads)
        decoder = decoder_open(model, room=PROMPT + STEPS)
        assert type(decoder) is GraphLlamaDecoder
        assert_follows_the_model(model, decoder)
    assert decoder._graph is not None
