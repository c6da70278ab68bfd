"""What is left of a prompt that is too long is still a conversation, whatever the template."""

import pytest

from tests.support.chat_tokenizers import GEMMA, LLAMA3, chat_tokenizer
from training.core.data.tokenizers import prompt_encode
from training.core.data.truncation import least_prompt, prompt_fit, turns_dropped

SYSTEM = {"role": "system", "content": "You are brief."}
TALK = [
    {"role": "user", "content": "Hello there, how are you?"},
    {"role": "assistant", "content": "I am well."},
    {"role": "user", "content": "What is a cat?"},
    {"role": "assistant", "content": "A cat is an animal."},
    {"role": "user", "content": "Use the kill command?"},
]


def fitted(tokenizer, messages, room, how="oldest_turns"):
    found = prompt_fit(lambda rest: prompt_encode(tokenizer, rest), messages, room, how)
    return None if found is None else (tokenizer.decode(found.ids), found.cut)


def test_the_oldest_turns_go_and_bos_and_the_systems_message_stay():
    tokenizer = chat_tokenizer(LLAMA3)
    last, two = [SYSTEM, TALK[4]], [SYSTEM, *TALK[2:]]
    whole = len(prompt_encode(tokenizer, [SYSTEM, *TALK]))
    assert fitted(tokenizer, [SYSTEM, *TALK], whole) == (
        tokenizer.decode(prompt_encode(tokenizer, [SYSTEM, *TALK])), False,
    )  # fmt: skip
    for kept in (two, last):
        wanted = prompt_encode(tokenizer, kept)
        for room in (len(wanted), len(wanted) + 1):
            assert fitted(tokenizer, [SYSTEM, *TALK], room) == (tokenizer.decode(wanted), True)
    assert fitted(tokenizer, [SYSTEM, *TALK], whole - 1)[0].startswith("<s><|head|>system")


def test_what_is_left_begins_with_the_user_and_is_rendered_anew():
    """This template refuses a conversation that the assistant begins."""
    tokenizer = chat_tokenizer(GEMMA)
    room = len(prompt_encode(tokenizer, TALK)) - 1
    assert fitted(tokenizer, TALK, room) == (
        tokenizer.decode(prompt_encode(tokenizer, TALK[2:])), True,
    )  # fmt: skip
    assert [rest[0]["role"] for rest in turns_dropped(TALK)] == ["user", "user"]


@pytest.mark.parametrize("how", ["oldest_turns", "middle"])
def test_a_turn_that_does_not_fit_alone_loses_its_middle(how):
    tokenizer = chat_tokenizer(LLAMA3)
    long = [{"role": "user", "content": "Hello there. " + "cat " * 200 + "Use the kill command?"}]
    text, cut = fitted(tokenizer, long, 60, how)
    assert cut
    assert text.startswith("<s><|head|>user<|/head|>\n\nHello there.")
    assert text.endswith("kill command?<|eot|><|head|>assistant<|/head|>\n\n")
    ids = prompt_encode(tokenizer, long)
    found = prompt_fit(lambda rest: prompt_encode(tokenizer, rest), long, 61, how)
    assert found is not None
    assert found.ids == [*ids[:30], *ids[-31:]]


def test_the_middle_goes_though_turns_would_fit():
    tokenizer = chat_tokenizer(LLAMA3)
    ids = prompt_encode(tokenizer, TALK)
    assert fitted(tokenizer, TALK, 40, "middle") == (
        tokenizer.decode([*ids[:20], *ids[-20:]]), True,
    )  # fmt: skip


def test_a_prompt_that_is_to_be_dropped_is_nothing():
    tokenizer = chat_tokenizer(LLAMA3)
    size = len(prompt_encode(tokenizer, TALK))
    assert fitted(tokenizer, TALK, size, "drop") is not None
    assert fitted(tokenizer, TALK, size - 1, "drop") is None


def test_an_eighth_is_kept_for_the_prompt():
    assert (least_prompt(256), least_prompt(4)) == (32, 1)
