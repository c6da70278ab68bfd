"""The prompts that a policy is judged on are read as conversations, however long they are."""

import pytest

from annotation.rows import PromptRow
from evaluation.core.completions import completions_draw
from tests.support.tiny_models import tiny_policy
from training.contracts import Sampling
from training.core.data.tokenizers import prompt_encode
from training.core.run.errors import UserError

ASK = {"role": "user", "content": "How many metres are 3 km?"}
TALK = (ASK, {"role": "assistant", "content": "3 km are 3000 m."}, ASK)


def draw(policy, messages, room):
    return completions_draw(
        policy, [PromptRow("p", messages)], sampling=Sampling(max_new_tokens=2),
        samples_per_prompt=2, max_prompt_tokens=room, seed=7,
    )  # fmt: skip


def test_a_long_prompt_loses_its_oldest_turns_and_is_counted_as_cut():
    policy = tiny_policy()
    whole, last = (prompt_encode(policy.tokenizer, m) for m in (TALK, [ASK]))
    for room, ids, cut in ((len(whole), whole, False), (len(whole) - 1, last, True)):
        drawn = draw(policy, TALK, room)
        assert [(list(c.prompt), c.prompt_cut) for c in drawn] == [(ids, cut)] * 2


def test_a_prompt_that_the_template_refuses_is_named():
    policy = tiny_policy()
    policy.tokenizer.chat_template = "{{ raise_exception('No system role') }}"
    with pytest.raises(UserError, match=r"The prompt 'p': .*No system role"):
        completions_draw(
            policy, [PromptRow("p", TALK[2:] * 3)], sampling=Sampling(max_new_tokens=2),
            samples_per_prompt=1, max_prompt_tokens=64, seed=7,
        )  # fmt: skip


def test_further_completions_of_a_prompt_are_those_that_a_longer_drawing_had_ended_with():
    policy, sampling = tiny_policy(), Sampling(max_new_tokens=6)
    prompts = [PromptRow("p", (ASK,)), PromptRow("q", (ASK,))]

    def drawn(**which):
        return completions_draw(
            policy, prompts, sampling=sampling, max_prompt_tokens=64, seed=7, **which
        )

    every, further = drawn(samples_per_prompt=4), drawn(samples_per_prompt=3, first_sample=1)
    assert [c.text for c in further] == [c.text for c in (*every[1:4], *every[5:])]
    assert len({c.seed for c in every}) == 8
