"""Tiny models of other people's architectures, with tokenizers as those people ship them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

WORDS = [
    *"abcdefghijklmnopqrstuvwxyz",
    *("what", "is", "a", "cat", "say", "yes", "no", "red", "blue", "one", "two", "why", "use"),
    *("the", "kill", "command", "i", "can", "help", "how", "do", "end", "process", "then", "check"),
]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} "
    "{% if m['role'] == 'assistant' %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # RoBERTa's order: padding is 1
POSITIONS = 96


def tokenizer_write(
    path: Path, *, template: str = TEMPLATE, pad: str = "<pad>", encoder: bool = False
) -> PreTrainedTokenizerFast:
    """Whole words; `pad` empty: none, "</s>": the end token itself, as many decoders are shipped."""
    vocabulary = {
        word: i for i, word in enumerate([*SPECIAL, ":", ".", "?", *dict.fromkeys(WORDS)])
    }
    vocabulary |= {role: len(vocabulary) + i for i, role in enumerate(("user", "assistant"))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    named: dict[str, Any] = {"unk_token": "<unk>", "eos_token": "</s>"}
    if pad:
        named["pad_token"] = pad
    if encoder:
        named |= {"cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>"}
        backend.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 0))
    else:
        backend.add_special_tokens(SPECIAL)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **named)
    if template:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(path)
    return tokenizer


def _sizes(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": POSITIONS, "eos_token_id": 2,
        "bos_token_id": 0, "pad_token_id": None,
    }  # fmt: skip
    return plain | changes


def decoder(name: str, words: int) -> Any:
    if name == "llama":
        return LlamaForCausalLM(LlamaConfig(vocab_size=words, **_sizes()))
    if name == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(vocab_size=words, **_sizes(num_key_value_heads=1)))
    if name == "gpt_neox":
        return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=words, **_sizes()))
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=words, n_embd=16, n_layer=2, n_head=2, n_positions=POSITIONS,
            eos_token_id=2, bos_token_id=0,
        )
    )  # fmt: skip


def encoder(name: str, words: int) -> Any:
    if name == "bert":
        return BertForMaskedLM(BertConfig(vocab_size=words, **_sizes(pad_token_id=1)))
    if name == "roberta":
        sizes = _sizes(pad_token_id=1, max_position_embeddings=POSITIONS + 2)
        return RobertaForMaskedLM(RobertaConfig(vocab_size=words, **sizes))
    return DistilBertForMaskedLM(
        DistilBertConfig(
            vocab_size=words, dim=16, hidden_dim=32, n_layers=2, n_heads=2,
            max_position_embeddings=POSITIONS, pad_token_id=1,
        )
    )  # fmt: skip


def decoder_write(path: Path, name: str, **tokenizer: Any) -> Path:
    path.mkdir(parents=True)
    words = len(tokenizer_write(path, **tokenizer))
    decoder(name, words).save_pretrained(path)
    return path


def encoder_write(path: Path, name: str) -> Path:
    path.mkdir(parents=True)
    words = len(tokenizer_write(path, template="", encoder=True))
    encoder(name, words).save_pretrained(path)
    return path
