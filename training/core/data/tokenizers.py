"""Tokenizers: chat rendering for any model, and a word-level one learned from the training texts.

The learned tokenizer is a plain `tokenizers` file (WordPiece over words, with single characters to
fall back on), so `AutoTokenizer` and every server read it. A chunk is what stands between two
spaces; its first piece is bare, the following ones stand behind `JOINER`: "Hello, you" is
Hello ￭, you.
Decoding therefore gives back the very text, line ends and double spaces included.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from training.chat_templates import control_pattern, controls_broken, messages_controls_broken
from training.core.data.json_lines import Message
from training.core.run.errors import UserError

JOINER = "￭"
PAD, UNKNOWN, END = "<|pad|>", "<|unknown|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% if message.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_CHUNK = re.compile(r"(?<=[^ ]) (?!\Z)")
_PIECE = re.compile(r"[^\W\d_]+|\d+|[\s\S]")


def word_tokenizer_learn(texts: Iterable[str], *, limit: int) -> PreTrainedTokenizerFast:
    """Learn the `limit` most frequent pieces of `texts`; printable ASCII can always be spelled."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_pieces(text))
    special = [PAD, UNKNOWN, END, *ROLES]
    seen = {character for piece in counts for character in piece.removeprefix(JOINER)}
    alphabet = sorted({*string.printable[:95], "\n", "\t", *seen} - {JOINER})
    spelling = [mark + character for mark in ("", JOINER) for character in alphabet]
    frequent = sorted(counts, key=lambda piece: (-counts[piece], piece))
    room = max(0, limit - len(special) - len(spelling))
    words = [piece for piece in frequent if piece not in set(spelling)][:room]
    vocabulary = {piece: i for i, piece in enumerate([*special, *spelling, *words])}
    return _word_tokenizer(vocabulary, special)


def _pieces(text: str) -> Iterable[str]:
    for chunk in _CHUNK.split(text):
        for i, match in enumerate(_PIECE.finditer(chunk)):
            yield (JOINER if i else "") + match.group()


def _word_tokenizer(vocabulary: dict[str, int], special: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(
        models.WordPiece(
            vocabulary,
            unk_token=UNKNOWN,
            continuing_subword_prefix=JOINER,
            max_input_chars_per_word=100_000,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?<=[^ ]) (?!\z)"), "removed")
    tokenizer.decoder = decoders.WordPiece(prefix=JOINER, cleanup=False)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


# ------------------------------------------------------------------------ rendering


def chat_render(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, for_completion: bool = True
) -> str:
    """The text that the model reads, by the tokenizer's own chat template.

    What reads like a control token in a message stays a text (`harmless`).
    """
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            f"The tokenizer of {tokenizer.name_or_path or 'this model'} has no chat template; "
            "use an instruction-tuned model, or save a chat_template beside its tokenizer."
        )
    try:
        text = tokenizer.apply_chat_template(
            messages_controls_broken(messages, _controls(tokenizer)),
            tokenize=False,
            add_generation_prompt=for_completion,
        )
    except Exception as error:  # a template is a program of the model's author
        roles = ", ".join(m["role"] for m in messages)
        raise UserError(
            f"The chat template refuses a conversation of {roles} ({error}): leave such rows out, write "
            "their messages as the model expects them, or give the model a chat template that takes them."
        ) from error
    assert isinstance(text, str)
    return text


def harmless(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """`text` without control tokens: nobody ends a turn, or begins one, by writing "<|im_end|>"."""
    return controls_broken(text, _controls(tokenizer))


def _controls(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str] | None:
    return _controls_cached(tokenizer, len(tokenizer), tuple(tokenizer.all_special_tokens))


@lru_cache(maxsize=64)
def _controls_cached(
    tokenizer: PreTrainedTokenizerBase, size: int, named: tuple[str, ...]
) -> re.Pattern[str] | None:
    """`size` is what grows where tokens are added, `named` what changes where they get a role."""
    added = tokenizer.added_tokens_decoder.values()
    return control_pattern([*named, *(token.content for token in added if token.special)])


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a text that carries its special tokens itself: all of them, and no padding.

    The file of a tokenizer may ask for both (those of sentence encoders do); recipes cut and pad themselves.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:  # the same ids at a quarter of the time for single texts
        if backend.padding is not None:
            backend.no_padding()
        if backend.truncation is not None:
            backend.no_truncation()
        return list(backend.encode(text, add_special_tokens=False).ids)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def prompt_encode(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Token ids of a conversation up to where the assistant begins to speak."""
    return list(_prompt_encode_cached(tokenizer, json.dumps(list(messages), sort_keys=True)))


@lru_cache(maxsize=16_384)
def _prompt_encode_cached(tokenizer: PreTrainedTokenizerBase, messages: str) -> tuple[int, ...]:
    return tuple(encode(tokenizer, chat_render(tokenizer, json.loads(messages))))


def completion_encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of an assistant's turn with the token that ends it."""
    return [*encode(tokenizer, harmless(tokenizer, text)), turn_end_id(tokenizer)]


@lru_cache(maxsize=64)
def turn_end_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an assistant's turn in the chat template; else the tokenizer's EOS."""
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "answer"}]
    full = chat_render(tokenizer, messages, for_completion=False)
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    for token in encode(tokenizer, full.rpartition("answer")[2]):
        if token in special:
            return token
    if tokenizer.eos_token_id is None:
        raise UserError("The tokenizer has no token that ends a turn: set its eos_token.")
    return int(tokenizer.eos_token_id)


def end_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Every token at which generation stops."""
    ids = {turn_end_id(tokenizer)}
    if tokenizer.eos_token_id is not None:
        ids.add(int(tokenizer.eos_token_id))
    return tuple(sorted(ids))


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text for people: no special tokens, no clean-up of spaces.

    A NUL, which a byte-level policy may write and no database keeps, is shown as U+FFFD.
    """
    text: Any = tokenizer.decode(
        list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return str(text).replace("\x00", "\ufffd")
