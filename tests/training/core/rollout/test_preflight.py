"""Each fault that the preflight is there for is found, and named in one sentence."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from tests.support.ppo_runs import tiny_config, tiny_policy
from training.core.model.loading import LoadedModel
from training.core.rollout import preflight
from training.core.rollout.generation import generate
from training.core.run.errors import UserError

PROMPTS = [[7, 8, 9, 10], [11, 12], [13, 14, 15]]


def test_a_sound_policy_passes() -> None:
    policy = tiny_policy()
    preflight.check_tokens(policy)
    preflight.check_vocabularies(policy, tiny_policy(seed=1))
    preflight.check_log_probs(policy, PROMPTS, tiny_config())
    preflight.check_prompts([4, 2, 3], ["a", "b", "c"], tiny_config(), policy.model)


def test_answers_of_different_lengths_are_compared_token_by_token(monkeypatch: Any) -> None:
    """One greedy answer ends early, the others do not: they share a rectangle all the same."""
    policy, cut = tiny_policy(), []

    def shortened(*args: Any, **kwargs: Any) -> Any:
        generated = generate(*args, **kwargs)
        lengths = generated.lengths.clone()
        lengths[0] = 2
        cut.append(lengths.tolist())
        return dataclasses.replace(generated, lengths=lengths)

    monkeypatch.setattr(preflight, "generate", shortened)
    preflight.check_log_probs(policy, PROMPTS, tiny_config())
    assert cut[0][0] == 2
    assert max(cut[0]) > 2


def test_a_pad_token_that_is_the_end_token_is_refused() -> None:
    policy = tiny_policy()
    policy.tokenizer.pad_token = policy.tokenizer.eos_token
    with pytest.raises(UserError, match="give the tokenizer a pad_token of its own"):
        preflight.check_tokens(policy)


def test_a_model_that_is_blind_to_its_mask_is_refused() -> None:
    policy = tiny_policy()

    class Blind(torch.nn.Module):
        """Sees padding as if it were text."""

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.config = policy.model, policy.model.config

        def forward(self, attention_mask: torch.Tensor, **rest: Any) -> Any:
            return self.inner(attention_mask=torch.ones_like(attention_mask), **rest)

    broken = dataclasses.replace(policy, model=Blind())
    with pytest.raises(UserError, match="does not follow attention_mask"):
        preflight.check_log_probs(broken, PROMPTS, tiny_config())


def test_a_score_that_depends_on_its_batch_is_refused() -> None:
    together, alone = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.001])
    preflight.check_batch_invariance(together, together, what="The input 'reward_model'")
    with pytest.raises(UserError, match="'reward_model' scores a text differently alone"):
        preflight.check_batch_invariance(together, alone, what="The input 'reward_model'")
    with pytest.raises(UserError, match="not a finite number"):
        preflight.check_batch_invariance(together / 0, together / 0, what="The reward")


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [([4, 200], "1 of 2 prompts .* the longest is 'b' with 200"), ([4, 60], "need 66 positions")],
)
def test_prompts_that_do_not_fit_are_named(lengths: list[int], sentence: str) -> None:
    policy: LoadedModel = tiny_policy()
    with pytest.raises(UserError, match=sentence):
        preflight.check_prompts(lengths, ["a", "b"], tiny_config(), policy.model)
