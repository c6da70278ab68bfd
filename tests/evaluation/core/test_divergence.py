import math

import pytest
import torch

from annotation.rows import PromptRow
from evaluation.core.completions import completion_seed, completions_draw
from evaluation.core.divergence import sequence_kl
from tests.support.tiny_models import TEXTS, tiny_policy, tiny_source
from training.contracts import Sampling
from training.core.model.loading import LoadedModel, policy_load
from training.core.run.errors import UserError

PROMPTS = [
    PromptRow(id=str(i), messages=({"role": "user", "content": text},), group=str(i))
    for i, text in enumerate(TEXTS[:4])
]


def draw(policy: LoadedModel, seed: int = 7, samples: int = 1):
    return completions_draw(
        policy,
        PROMPTS,
        sampling=Sampling(max_new_tokens=6, batch_size=3),
        samples_per_prompt=samples,
        max_prompt_tokens=64,
        seed=seed,
    )


def sharpened(seed: int = 0) -> LoadedModel:
    """The tiny policy with logits three times as large."""
    policy = tiny_policy(seed)
    with torch.no_grad():
        policy.model.lm_head.weight.mul_(3.0)
    return policy


def test_kl_of_a_policy_to_itself_is_exactly_zero():
    policy = tiny_policy()
    found = sequence_kl(policy, tiny_policy(), draw(policy), temperature=1.0, batch_size=3)
    assert found.tolist() == [0.0] * 4


def test_kl_is_the_sum_over_tokens_of_the_kl_over_the_vocabulary():
    policy, other = sharpened(), tiny_policy()
    completions = draw(policy)
    found = sequence_kl(policy, other, completions, temperature=0.7, batch_size=2)
    for c, value in zip(completions, found, strict=True):  # unpadded, in plain Python
        ids = torch.tensor([[*c.prompt, *c.response]])
        tables = [
            (side.model(input_ids=ids).logits[0].double() / 0.7).softmax(-1).tolist()
            for side in (policy, other)
        ]
        expected = 0.0
        for t in range(len(c.prompt) - 1, ids.shape[1] - 1):
            expected += sum(
                p * math.log(p / q) for p, q in zip(tables[0][t], tables[1][t], strict=True) if p
            )
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert found.min() > 0


def test_another_vocabulary_is_refused_in_words():
    policy = tiny_policy()
    other = policy_load(tiny_source(), {}, texts=("zyx wvu",))
    with pytest.raises(UserError, match="the tokenizers differ"):
        sequence_kl(policy, other, draw(policy), temperature=1.0, batch_size=2)


def test_the_same_weights_draw_the_same_texts_whatever_else_is_in_the_batch():
    first, again = draw(tiny_policy(3)), draw(tiny_policy(3))
    assert first == again
    assert [c.text for c in first] != [c.text for c in draw(tiny_policy(3), seed=8)]
    both = draw(tiny_policy(3), samples=2)
    assert both[::2] == first
    assert both[1].seed != both[0].seed


def test_seeds_depend_on_run_prompt_and_sample():
    seeds = {completion_seed(s, p, i) for s in (1, 2) for p in ("a", "b") for i in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
