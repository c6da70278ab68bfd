import pytest

from tests.support.tiny_models import TEXTS
from training.core.data.conversations import conversation_encode, demonstration_encode
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


def test_too_long_prompt_loses_its_oldest_tokens(tokenizer):
    encoded = conversation_encode(tokenizer, PROMPT, ANSWER, max_length=10)
    assert encoded.cut
    assert words(tokenizer, encoded.ids)[:4] == ["5", "￭?", "<|assistant|>", "7"]
    assert len(encoded.ids) == 10


def test_too_long_completion_keeps_beginning_and_end(tokenizer):
    encoded = conversation_encode(tokenizer, PROMPT, ANSWER, max_length=4)
    assert words(tokenizer, encoded.ids) == ["7", "plus", "5", "<|end|>"]
    exact = conversation_encode(tokenizer, PROMPT, ANSWER, max_length=7)
    assert words(tokenizer, exact.ids)[-2:] == ["￭.", "<|end|>"]
    assert (len(exact.ids), exact.cut) == (7, True)


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
    encoded = demonstration_encode(tokenizer, messages, max_length=64)
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
    encoded = demonstration_encode(tokenizer, messages, max_length=64)
    trained = [i for i, flag in zip(encoded.ids, encoded.trained, strict=True) if flag]
    assert decode(tokenizer, trained) == ANSWER


def test_too_long_demonstration_keeps_its_end(tokenizer):
    messages = [*PROMPT, {"role": "assistant", "content": ANSWER}]
    encoded = demonstration_encode(tokenizer, messages, max_length=9)
    assert (len(encoded.ids), encoded.cut, encoded.trained.count(True)) == (9, True, 7)
