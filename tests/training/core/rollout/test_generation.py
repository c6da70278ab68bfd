import math

import pytest
import torch

from tests.support.tiny_models import tiny_policy
from training.contracts import Sampling
from training.core.data.batches import pad
from training.core.data.tokenizers import prompt_encode
from training.core.rollout.generation import draw, filter_logits, generate, uniform_draws

QUESTIONS = ["What is 7 plus 5?", "How?", "How many metres are 3 km?", "How do I end a process?"]


@pytest.fixture(scope="module")
def policy():
    return tiny_policy(seed=11)


@pytest.fixture(scope="module")
def prompts(policy):
    return [prompt_encode(policy.tokenizer, [{"role": "user", "content": q}]) for q in QUESTIONS]


def sample(policy, prompts, *, seeds=None, end_ids=None, **changes):
    sampling = Sampling(**{"max_new_tokens": 12, **changes})
    return generate(
        policy.model,
        prompts,
        seeds=range(len(prompts)) if seeds is None else seeds,
        sampling=sampling,
        pad_id=policy.pad_id,
        end_ids=policy.end_ids if end_ids is None else end_ids,
    )


def test_greedy_equals_generate_of_transformers(policy, prompts):
    ends = first_tokens(policy, prompts)
    ours = sample(policy, prompts, temperature=0.0, end_ids=ends)
    batch = pad(prompts, policy.pad_id, side="left")
    theirs = policy.model.generate(
        input_ids=batch.ids,
        attention_mask=batch.mask.long(),
        do_sample=False,
        max_new_tokens=12,
        eos_token_id=ends,
        pad_token_id=policy.pad_id,
    )
    assert torch.equal(ours.sequences, theirs)
    assert 1 < ours.lengths.min() < ours.lengths.max()  # some rows did leave early


def first_tokens(policy, prompts):
    """End tokens that stop greedy rows at different steps: the fourth token of one of them."""
    plain = sample(policy, prompts, temperature=0.0, end_ids=[])
    return [int(plain.responses[0, 3])]


def test_log_probs_are_those_of_the_drawn_tokens_at_temperature_1(policy, prompts):
    found = generate(
        policy.model, prompts, seeds=range(4), sampling=Sampling(max_new_tokens=5, temperature=0.7),
        pad_id=policy.pad_id, end_ids=first_tokens(policy, prompts), with_log_probs=True,
    )  # fmt: skip
    assert sample(policy, prompts, temperature=0.7).log_probs is None
    assert found.log_probs is not None
    with torch.no_grad():
        for row, prompt in enumerate(prompts):
            text = found.response(row)
            logits = policy.model(input_ids=torch.tensor([prompt + text])).logits[0, :-1]
            table = logits.log_softmax(-1)[len(prompt) - 1 :]
            expected = torch.zeros(found.responses.shape[1])
            expected[: len(text)] = table[range(len(text)), text]
            torch.testing.assert_close(found.log_probs[row], expected, rtol=0, atol=1e-5)


def test_completion_depends_on_its_seed_not_on_its_batch(policy, prompts):
    together = sample(policy, prompts, seeds=[5, 6, 7, 8])
    again = sample(policy, prompts, seeds=[5, 6, 7, 8], batch_size=1)
    backwards = sample(policy, prompts[::-1], seeds=[8, 7, 6, 5])
    for i in range(4):
        assert together.response(i) == again.response(i) == backwards.response(3 - i)
    other = sample(policy, prompts, seeds=[1, 2, 3, 4])
    assert any(other.response(i) != together.response(i) for i in range(4))


def test_result_is_padded_masked_and_cut_after_the_end(policy, prompts):
    everything = range(0, policy.model.config.vocab_size, 4)  # a quarter of the tokens ends a text
    result = sample(policy, prompts * 8, end_ids=list(everything))
    assert result.prompt_ids.shape == result.prompt_mask.shape
    assert torch.equal(result.prompt_mask.sum(1), torch.tensor([len(p) for p in prompts * 8]))
    assert torch.equal(result.response_mask.sum(1), result.lengths)
    assert (result.responses[~result.response_mask] == policy.pad_id).all()
    assert result.ended.any()
    for row in range(32):
        response = result.response(row)
        assert all(token % 4 for token in response[:-1])
        assert (response[-1] % 4 == 0) == bool(result.ended[row])
        assert result.ended[row] or len(response) == 12
    assert (result.position_ids[:, 0] == 0).all()


def test_sampled_tokens_follow_the_distribution():
    logits = torch.log(torch.tensor([0.5, 0.25, 0.0, 0.25])).expand(4, 4)
    uniform = torch.tensor([0.0, 0.49, 0.5, 1 - 1e-16], dtype=torch.float64)
    assert draw(logits, uniform, Sampling()).tolist() == [0, 0, 1, 3]
    hot = Sampling(temperature=0.5)  # squares: 4/6, 1/6, 0, 1/6
    uniform = torch.tensor([0.66, 0.67, 0.83, 0.84], dtype=torch.float64)
    assert draw(logits, uniform, hot).tolist() == [0, 1, 1, 3]


def test_impossible_tokens_are_never_drawn():
    logits = torch.full((1000, 5), -math.inf)
    logits[:, 2] = 0.0
    uniform = torch.rand(1000, dtype=torch.float64)
    uniform[0] = 0.0
    assert (draw(logits, uniform, Sampling()) == 2).all()


def test_top_k_and_top_p_keep_what_they_say():
    logits = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]]))
    kept = ~filter_logits(logits, Sampling(top_k=2)).isinf()
    assert kept.tolist() == [[False, True, False, True]]
    kept = ~filter_logits(logits, Sampling(top_p=0.75)).isinf()
    assert kept.tolist() == [[False, True, True, True]]
    kept = ~filter_logits(logits, Sampling(top_p=0.01)).isinf()
    assert kept.tolist() == [[False, True, False, False]]
    assert torch.equal(filter_logits(logits, Sampling()), logits)


def test_uniform_rows_depend_on_their_own_seed():
    a, b = uniform_draws([1, 2], 5), uniform_draws([2, 3], 7)
    assert torch.equal(a[1], b[0, :5])


def test_training_mode_is_given_back(policy, prompts):
    policy.model.train()
    sample(policy, prompts[:1], max_new_tokens=1)
    assert policy.model.training
