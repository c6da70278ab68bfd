import pytest
from transformers import AutoTokenizer

from tests.support.tiny_models import TEXTS
from training.core.data.tokenizers import (
    chat_render,
    completion_encode,
    decode,
    encode,
    end_ids,
    prompt_encode,
    turn_end_id,
    word_tokenizer_learn,
)
from training.core.run.errors import UserError

SENTENCES = [
    *TEXTS,
    "It costs 1,250.75 euros - doesn't it?",
    'He said: "Don\'t (ever) do that!"',
    "First line.\n\n- a list\n- of things;  two spaces",
    "12+5=17, 50% of 3/4, a_b, user@example.org, ##x #1",
    " leading and trailing ",
    "Unseenwordshere99 zzz",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    word_tokenizer_learn(TEXTS, limit=400).save_pretrained(path)
    return AutoTokenizer.from_pretrained(path)


@pytest.mark.parametrize("text", SENTENCES)
def test_text_comes_back_exactly(tokenizer, text):
    assert decode(tokenizer, encode(tokenizer, text)) == text
    assert tokenizer.unk_token_id not in encode(tokenizer, text)


def test_a_nul_that_a_policy_writes_is_shown_as_a_replacement():
    class Bytes:
        def decode(self, *_, **__):
            return "a\x00b"

    assert decode(Bytes(), [1]) == "a\ufffdb"


def test_learned_words_are_single_tokens(tokenizer):
    assert tokenizer.convert_ids_to_tokens(encode(tokenizer, "7 plus 5 is 12.")) == [
        "7", "plus", "5", "is", "12", "￭.",
    ]  # fmt: skip


def test_limit_keeps_the_most_frequent_words():
    small = word_tokenizer_learn(["often often often rare"], limit=212)
    assert len(encode(small, "often")) == 1
    assert len(small) <= 212
    tiny = word_tokenizer_learn(["often often often rare"], limit=1)
    assert len(encode(tiny, "rare")) == 4


def test_padding_and_cutting_that_a_file_asks_for_are_not_followed(tmp_path):
    shipped = word_tokenizer_learn(TEXTS, limit=400)
    wanted = encode(shipped, " ".join(SENTENCES)), encode(shipped, "7 plus 5 is 12.")
    shipped.backend_tokenizer.enable_padding(length=16, pad_id=shipped.pad_token_id)
    shipped.backend_tokenizer.enable_truncation(max_length=16)
    shipped.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert len(loaded.backend_tokenizer.encode("7").ids) == 16
    assert (encode(loaded, " ".join(SENTENCES)), encode(loaded, "7 plus 5 is 12.")) == wanted


def test_pad_is_not_the_end_of_a_text(tokenizer):
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert end_ids(tokenizer) == (tokenizer.eos_token_id,)


def test_prompt_and_completion_are_the_rendered_conversation(tokenizer):
    messages = [{"role": "user", "content": "What is 7 plus 5?"}]
    answer = {"role": "assistant", "content": "7 plus 5 is 12."}
    whole = chat_render(tokenizer, [*messages, answer], for_completion=False)
    assert whole == "<|user|>What is 7 plus 5?<|assistant|>7 plus 5 is 12.<|end|>"
    assert encode(tokenizer, whole) == [
        *prompt_encode(tokenizer, messages),
        *completion_encode(tokenizer, answer["content"]),
    ]


def test_turn_end_comes_from_the_chat_template_not_from_eos(tokenizer):
    other = word_tokenizer_learn(TEXTS, limit=400)
    other.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    other.chat_template = "{% for m in messages %}{{ m.content }}<|turn|>\n{% endfor %}"
    assert turn_end_id(other) == other.convert_tokens_to_ids("<|turn|>")
    assert set(end_ids(other)) == {turn_end_id(other), other.eos_token_id}


def test_missing_chat_template_is_a_clear_error():
    bare = word_tokenizer_learn(TEXTS, limit=400)
    bare.chat_template = None
    with pytest.raises(UserError, match="has no chat template"):
        prompt_encode(bare, [{"role": "user", "content": "x"}])
