"""Each fault that the preflight is there for is found, and named in one sentence."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertLMHeadModel

from annotation.rows import PromptRow
from tests.support.cache_families import family_model
from tests.support.ppo_runs import tiny_config, tiny_policy, write_policy, write_reward_model
from training.core.model.loading import LoadedModel
from training.core.reward.scoring import reward_model_load
from training.core.rollout import preflight
from training.core.rollout.decoding import ModelDecoder
from training.core.rollout.generation import generate
from training.core.rollout.rewarding import Rewarder
from training.core.run.errors import UserError

PROMPTS = [[7, 8, 9, 10], [11, 12], [13, 14, 15]]


def test_a_sound_policy_passes() -> None:
    policy = tiny_policy()
    preflight.check_tokens(policy)
    preflight.check_vocabularies(policy, tiny_policy(seed=1))
    preflight.check_log_probs(policy, PROMPTS, tiny_config())
    preflight.check_prompts([4, 2, 3], ["a", "b", "c"], tiny_config(), policy.model)


def test_rows_that_end_at_different_moments_are_looked_at(monkeypatch: Any) -> None:
    """The second draw has an end that some rows meet before others: the sampler takes them out."""
    policy, lengths = tiny_policy(), []

    def watched(*args: Any, **kwargs: Any) -> Any:
        generated = generate(*args, **kwargs)
        lengths.append(sorted(generated.lengths.tolist()))
        return generated

    monkeypatch.setattr(preflight, "generate", watched)
    preflight.check_log_probs(policy, PROMPTS, tiny_config())
    endless, uneven = lengths
    assert set(endless) == {6}
    assert 1 <= uneven[0] < uneven[-1]


@pytest.mark.parametrize("name", ["Jamba", "Mamba", "Gemma2"])
def test_models_with_caches_of_other_kinds_pass(name: str) -> None:
    policy = dataclasses.replace(tiny_policy(), model=family_model(name))
    preflight.check_log_probs(policy, PROMPTS, tiny_config())


def bert(*, is_decoder: bool) -> BertLMHeadModel:
    torch.manual_seed(0)
    return BertLMHeadModel(
        BertConfig(
            vocab_size=40, hidden_size=24, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=64, is_decoder=is_decoder,
            initializer_range=0.3,
        )
    ).eval()  # fmt: skip


def test_an_encoder_loaded_as_a_language_model_is_refused() -> None:
    policy = tiny_policy()
    preflight.check_log_probs(
        dataclasses.replace(policy, model=bert(is_decoder=True)), PROMPTS, tiny_config()
    )
    with pytest.raises(UserError, match="reads what comes later"):
        preflight.check_log_probs(
            dataclasses.replace(policy, model=bert(is_decoder=False)), PROMPTS, tiny_config()
        )


def test_a_cache_that_forgets_is_refused(monkeypatch: Any) -> None:
    """The rows that stay are mixed up: texts go on from what another row has read."""
    policy = dataclasses.replace(tiny_policy(), model=family_model("Mistral"))
    monkeypatch.setattr(
        ModelDecoder,
        "keep",
        lambda self, rows: self.cache.reorder_cache(rows.flip(0)),
    )
    with pytest.raises(UserError, match="its cache does not hold what it has read"):
        preflight.check_log_probs(policy, PROMPTS, tiny_config())


def test_a_model_that_cannot_go_on_is_refused_in_a_sentence(monkeypatch: Any) -> None:
    policy = dataclasses.replace(tiny_policy(), model=family_model("Mistral"))

    def broken(self: Any, rows: torch.Tensor) -> None:
        raise AttributeError("'StateLayer' object has no attribute 'batch_select_indices'")

    monkeypatch.setattr(ModelDecoder, "keep", broken)
    with pytest.raises(UserError, match=r"No text can be sampled from the policy \(MistralFor"):
        preflight.check_log_probs(policy, PROMPTS, tiny_config())


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


def test_rounding_does_not_refuse_a_reward_model_that_has_barely_learned() -> None:
    """Its scores spread over a thousandth: normalised, the same rounding would look like a fault."""
    together, spread = torch.tensor([[0.1, 0.101]]), torch.tensor([[1e-3]])
    check = partial(preflight.check_batch_invariance, together, what="The reward", spread=spread)
    check(together + 1e-6)
    with pytest.raises(UserError, match="differently alone"):
        check(together + 1e-4)


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [([4, 200], "1 of 2 prompts .* the longest is 'b' with 200"), ([4, 60], "need 66 positions")],
)
def test_prompts_that_do_not_fit_are_named(lengths: list[int], sentence: str) -> None:
    policy: LoadedModel = tiny_policy()
    with pytest.raises(UserError, match=sentence):
        preflight.check_prompts(lengths, ["a", "b"], tiny_config(), policy.model)


def test_what_a_reward_model_cannot_read_whole_or_at_all_is_told_before_training(
    tmp_path: Path,
) -> None:
    write_policy(tmp_path / "policy")
    model = reward_model_load(write_reward_model(tmp_path / "reward", members=1))
    rewarder = Rewarder(script=None, train=None, held_out=model)
    rows = [
        PromptRow(name, ({"role": "user", "content": text},))
        for name, text in (("short", "a"), ("long", "a b c d e f g h"))
    ]
    lengths = [len(encoded.ids) for encoded in model.encode([(r.messages, "") for r in rows])]
    room = model.settings.max_length - max(lengths)
    assert preflight.check_reward_texts(rewarder, rows, max_new_tokens=room) == ""
    said = preflight.check_reward_texts(rewarder, rows, max_new_tokens=room + 1)
    assert "'held_out_reward_model' reads 64 tokens (its max_length), and 1 of 2 prompts" in said
    both = dataclasses.replace(rewarder, train=model)
    said = preflight.check_reward_texts(both, rows, max_new_tokens=room + 1)
    assert said.count("reads 64 tokens") == 2  # a first one that is tight hides no second
    model.members[0].tokenizer.chat_template = "{{ raise_exception('No ' + messages[0].content) }}"
    unread = [PromptRow("third", ({"role": "user", "content": "b c"},))]
    with pytest.raises(UserError, match=r"cannot read the prompt 'third': .*No b c"):
        preflight.check_reward_texts(rewarder, unread, max_new_tokens=1)
