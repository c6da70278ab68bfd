import pytest

from tests.support.encoding import demonstration
from tests.support.tiny_models import TEXTS
from training.core.data.conversations import (
    completions_encode,
    conversation_encode,
    demonstration_encode,
)
from training.core.data.tokenizers import decode, word_tokenizer_learn

PROMPT = [{"role": "user", "content": "What is 7 plus 5?"}]
ANSWER = "7 plus 5 is 12."


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer_learn(TEXTS, limit=400)


def words(tokenizer, ids):
    return tokenizer.convert_ids_to_tokens(list(ids))


def test_conversation_ends_with_the_end_of_the_turn(tokenizer):
    encoded = conversation_encode(tokenizer, PROMPT, ANSWER, max_length=64)
    assert not encoded.cut
    assert words(tokenizer, encoded.ids) == [
        "<|user|>", "What", "is", "7", "plus", "5", "￭?", "<|assistant|>",
        "7", "plus", "5", "is", "12", "￭.", "<|end|>",
    ]  # fmt: skip


def test_too_long_prompt_loses_its_middle_and_keeps_the_turn_of_the_assistant(tokenizer):
    encoded = conversation_encode(tokenizer, PROMPT, ANSWER, max_length=11)
    assert encoded.cut
    assert words(tokenizer, encoded.ids)[:5] == ["<|user|>", "What", "￭?", "<|assistant|>", "7"]
    assert len(encoded.ids) == 11


def test_a_text_to_score_keeps_its_prompt_its_beginning_and_its_end(tokenizer):
    encoded = conversation_encode(tokenizer, PROMPT, ANSWER, max_length=4)
    assert words(tokenizer, encoded.ids) == ["<|assistant|>", "7", "plus", "<|end|>"]
    encoded = conversation_encode(tokenizer, PROMPT, "word " * 90, max_length=32)
    assert len(encoded.ids) == 32
    assert words(tokenizer, encoded.ids)[:5] == ["<|user|>", "What", "￭?", "<|assistant|>", "w"]
    assert words(tokenizer, encoded.ids)[-1] == "<|end|>"


def test_nothing_to_learn_from_is_parted_from_its_prompt(tokenizer):
    """A completion that leaves its prompt less than an eighth drops the row, under every policy."""
    long = " ".join("7" * 29)  # with its end 30 tokens
    for how in ("oldest_turns", "middle", "drop"):
        for texts in ([ANSWER, long], [long, ANSWER]):
            found = completions_encode(tokenizer, PROMPT, texts, max_length=33, truncation=how)
            assert found is None
    found = completions_encode(tokenizer, PROMPT, [long], max_length=34, truncation="middle")
    assert found is not None
    assert found[0].trained == (False,) * 4 + (True,) * 30
    # A prompt that is short itself needs no more than it has.
    short = [{"role": "user", "content": "7"}]
    found = completions_encode(tokenizer, short, [long], max_length=33, truncation="drop")
    assert found is not None
    assert not found[0].cut


def test_completions_of_a_prompt_stand_behind_the_same_tokens(tokenizer):
    """The shorter one could keep more of the prompt, and what it kept would tell its length."""
    texts = ["7.", f"{ANSWER} {ANSWER}"]
    found = completions_encode(tokenizer, PROMPT, texts, max_length=19, truncation="oldest_turns")
    assert found is not None
    heads = [e.ids[: e.trained.index(True)] for e in found]
    assert heads[0] == heads[1]
    assert [e.cut for e in found] == [True, True]
    assert completions_encode(tokenizer, PROMPT, texts, max_length=19, truncation="drop") is None


def test_plain_encoder_gets_its_own_separators():
    plain = word_tokenizer_learn(TEXTS, limit=400)
    plain.chat_template = None
    plain.add_special_tokens({"cls_token": "[CLS]", "sep_token": "[SEP]"})
    encoded = conversation_encode(plain, PROMPT, ANSWER, max_length=64)
    tokens = words(plain, encoded.ids)
    assert (tokens[0], tokens[-1], tokens.count("[SEP]")) == ("[CLS]", "[SEP]", 2)
    short = conversation_encode(plain, PROMPT, ANSWER, max_length=10)
    assert words(plain, short.ids)[:3] == ["[CLS]", "￭?", "[SEP]"]
    assert (len(short.ids), short.cut) == (10, True)


def test_demonstration_trains_on_every_turn_of_the_assistant(tokenizer):
    messages = [
        *PROMPT,
        {"role": "assistant", "content": "12."},
        {"role": "user", "content": "How?"},
    ]
    messages.append({"role": "assistant", "content": "7 plus 5."})
    encoded = demonstration(tokenizer, messages, max_length=64)
    trained = [i for i, flag in zip(encoded.ids, encoded.trained, strict=True) if flag]
    assert words(tokenizer, trained) == [
        "12", "￭.", "<|end|>", "7", "plus", "5", "￭.", "<|end|>",
    ]  # fmt: skip
    assert decode(tokenizer, encoded.ids[: encoded.trained.index(True)]) == "What is 7 plus 5?"


def test_template_that_rewrites_earlier_turns_trains_the_last_only():
    tokenizer = word_tokenizer_learn(TEXTS, limit=400)
    tokenizer.chat_template = (
        "{{ messages|length }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
        "{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    messages = [*PROMPT, {"role": "assistant", "content": ANSWER}]
    encoded = demonstration(tokenizer, messages, max_length=64)
    trained = [i for i, flag in zip(encoded.ids, encoded.trained, strict=True) if flag]
    assert decode(tokenizer, trained) == ANSWER


def test_too_long_demonstration_loses_its_oldest_turns(tokenizer):
    first = [*PROMPT, {"role": "assistant", "content": ANSWER}]
    last = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "7 plus 5."}]
    size = len(demonstration(tokenizer, last, max_length=64).ids)
    for room in (size, size + 3):
        encoded = demonstration(tokenizer, [*first, *last], max_length=room)
        assert encoded.cut
        assert decode(tokenizer, encoded.ids) == "How? 7 plus 5."
        assert words(tokenizer, encoded.ids)[0] == "<|user|>"
    drop = demonstration_encode(tokenizer, [*first, *last], max_length=size, truncation="drop")
    assert drop is None


def test_a_demonstration_is_never_an_answer_without_its_prompt(tokenizer):
    messages = [*PROMPT, {"role": "assistant", "content": ANSWER}]
    encoded = demonstration(tokenizer, messages, max_length=11)
    assert (len(encoded.ids), encoded.cut, encoded.trained.count(True)) == (11, True, 7)
    assert words(tokenizer, encoded.ids)[3] == "<|assistant|>"
    assert demonstration_encode(tokenizer, messages, max_length=7) is None
