"""The packed pass against the model's own: the same numbers, the same gradients, less padding."""

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from training.contracts import AdapterConfig
from training.core.data.sequences import length_buckets, pack_sequences
from training.core.model.actor_critic import ActorCritic, response_logits
from training.core.model.lora import adapter_add
from training.core.model.recompute import recompute_layers
from training.core.packed import llama as packed_llama
from training.core.packed.llama import pack_rows, packable
from training.core.packed.operators import NativeOperators, WrittenOutOperators, operators_for
from training.core.reward.forward import score_rows
from training.core.rollout.episodes import Episodes, score_tokens

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLOSE = 1e-5 if DEVICE.type == "cpu" else 1e-4
PROMPTS = [[7, 8, 9, 10], [11], [13, 14, 15], [5, 6]]
RESPONSES = [[20, 21], [22, 23, 4, 5, 2], [6], [9, 8, 7, 6, 5]]
SIZES = {
    "vocab_size": 29, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32,
    "initializer_range": 0.12, "pad_token_id": 0, "num_labels": 1,
}  # fmt: skip


def llama(kind: Any = LlamaForCausalLM, **changes: Any) -> Any:
    torch.manual_seed(3)
    return kind(LlamaConfig(**(SIZES | changes))).eval().to(DEVICE)


def actors(shared: bool, **changes: Any) -> tuple[ActorCritic, ActorCritic]:
    """The same networks twice: as they are, and packed."""
    made = []
    for packed in (False, True):
        policy = llama(**changes)
        actor = ActorCritic.shared(policy) if shared else ActorCritic.separate(policy)
        torch.nn.init.normal_(actor.head.weight, generator=torch.Generator(DEVICE).manual_seed(1))
        if packed:
            actor.pack()
        assert actor.packed == packed
        made.append(actor)
    return made[0], made[1]


@pytest.fixture(params=["written out", "native"])
def operators(request, monkeypatch):
    """Those of either device, on this one."""
    chosen = {"written out": WrittenOutOperators, "native": NativeOperators}[request.param]
    monkeypatch.setattr(packed_llama, "operators_for", lambda device: chosen)


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("changes", [{}, {"num_key_value_heads": 4}, {"tie_word_embeddings": True}])
def test_log_probs_values_and_gradients_are_those_of_the_padded_pass(shared, changes):
    batch = pack_sequences(PROMPTS, RESPONSES, pad_id=0, device=DEVICE)
    weights = torch.rand(batch.mask.shape, generator=torch.Generator().manual_seed(2)).to(DEVICE)
    weights = weights * batch.mask
    found = []
    for actor in actors(shared, **changes):
        result = actor(batch, temperature=0.7)
        ((result.log_probs + result.values.square()) * weights).mean().backward()
        gradients = {n: p.grad for n, p in actor.named_parameters() if p.grad is not None}
        kept = [table.masked_fill(~batch.mask, 0) for table in result]
        found.append((kept, gradients))
    (plain, plain_gradients), (packed, packed_gradients) = found
    torch.testing.assert_close(packed, plain, atol=CLOSE, rtol=0)
    assert packed_gradients.keys() == plain_gradients.keys()
    torch.testing.assert_close(packed_gradients, plain_gradients, atol=CLOSE, rtol=CLOSE)
    assert all(gradient.abs().max() > 0 for gradient in packed_gradients.values())


def test_scoring_gives_the_same_tables():
    episodes = Episodes(PROMPTS, RESPONSES, [False, True, False, False], ["a", "b", "c", "d"])
    tables = [
        score_tokens(
            actor, llama(rms_norm_eps=1e-3), episodes, temperature=0.9, pad_id=0, batch_size=3,
            exact_rollouts=3, device=DEVICE,
        )
        for actor in actors(shared=False)
    ]  # fmt: skip
    torch.testing.assert_close(tables[1], tables[0], atol=CLOSE, rtol=0)
    assert tables[0].exact_kl.abs().max() > 0


def test_logits_of_a_reference_are_the_same_and_one_that_is_no_llama_runs_its_own_code():
    batch = pack_sequences(PROMPTS, RESPONSES, pad_id=0, device=DEVICE)
    torch.manual_seed(1)
    other = GPT2LMHeadModel(GPT2Config(vocab_size=29, n_embd=16, n_layer=1, n_head=2)).eval()
    other.to(DEVICE)
    for model in (llama(), other):
        with torch.no_grad():
            plain, packed = (response_logits(model, batch, packed=p) for p in (False, True))
        torch.testing.assert_close(packed[batch.mask], plain[batch.mask], atol=CLOSE, rtol=0)


def test_what_is_not_a_plain_llama_keeps_its_own_way():
    assert packable(llama().model)
    recomputed, adapted = llama(), llama()
    recompute_layers(recomputed)
    adapter_add(adapted, AdapterConfig(kind="lora", rank=2), seed=0)
    others = [
        llama(attention_bias=True), llama(hidden_act="gelu"), recomputed, adapted,
        llama(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
    ]  # fmt: skip
    assert not any(packable(model.model) for model in others)


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_scores_and_their_gradients_do_not_depend_on_packing(kind):
    rows = [p + r for p, r in zip(PROMPTS, RESPONSES, strict=True)] + [[3] * 30, [4] * 2]
    if kind == "llama":
        model = llama(LlamaForSequenceClassification)
    else:
        torch.manual_seed(5)
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = BertConfig(vocab_size=29, intermediate_size=32, num_labels=1, **sizes)
        model = BertForSequenceClassification(config).eval().to(DEVICE)
    found = []
    for packed in (False, True):
        model.zero_grad()
        scores = score_rows(model, rows, 0, packed=packed)
        scores.tanh().sum().backward()
        found.append((scores.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}))
    torch.testing.assert_close(found[1], found[0], atol=CLOSE, rtol=CLOSE)


def test_a_packed_rectangle_keeps_order_and_positions():
    ids = torch.tensor([[0, 0, 5, 6], [7, 8, 9, 4]])
    rows = pack_rows(ids, ids != 0)
    assert rows.ids.tolist() == [5, 6, 7, 8, 9, 4]
    assert rows.positions.tolist() == [0, 1, 0, 1, 2, 3]
    assert rows.places.tolist() == [0, 1, 4, 5, 6, 7]
    assert rows.sources.tolist() == [0, 1, 1, 1, 2, 3, 4, 5]
    assert rows.numbers[:, -1].tolist() == [1, 5]


def test_packed_groups_are_as_large_as_they_may_be_and_cheap_calls_make_small_ones():
    lengths = [3, 90, 4, 88, 5]
    assert length_buckets(lengths, size=3, packed=True) == [[0, 2, 4], [3, 1]]
    assert length_buckets(lengths, size=5, overhead=10_000) == [[0, 2, 4, 3, 1]]
    assert length_buckets(lengths, size=5, overhead=0)[0] == [0]


def test_each_device_gets_the_operators_that_suit_it():
    assert operators_for(torch.device("cpu")) is WrittenOutOperators
    assert operators_for(torch.device("cuda")) is NativeOperators
