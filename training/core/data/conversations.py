"""Conversations as token ids, cut to a length without ever dropping one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from training.core.data.json_lines import Message
from training.core.data.tokenizers import completion_encode, encode, prompt_encode


@dataclass(frozen=True)
class Encoded:
    """Token ids; `trained[i]` is true where token i is the assistant's; `cut`: something was cut."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    cut: bool = False


def conversation_encode(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    completion: str,
    *,
    max_length: int,
) -> Encoded:
    """Prompt and completion as a reward model reads them: the last token ends the turn.

    Too long: the prompt loses its oldest tokens. Without a chat template (plain encoders) the prompt
    is the joined contents, and the tokenizer's own separators stand around the two parts.
    """
    if getattr(tokenizer, "chat_template", None):
        before: list[int] = []
        prompt = prompt_encode(tokenizer, messages)
        answer = completion_encode(tokenizer, completion)
    else:
        before, prompt, answer = _plain_parts(tokenizer, messages, completion)
    return _fit(before, prompt, answer, max_length)


def _plain_parts(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], completion: str
) -> tuple[list[int], list[int], list[int]]:
    first, separator = tokenizer.cls_token_id, tokenizer.sep_token_id
    end = separator if separator is not None else tokenizer.eos_token_id
    text = "\n\n".join(m["content"] for m in messages)
    prompt = encode(tokenizer, text if separator is not None else text + "\n\n")
    answer = encode(tokenizer, completion)
    return (
        [] if first is None else [first],
        prompt if separator is None else [*prompt, separator],
        answer if end is None else [*answer, end],
    )


def _fit(before: list[int], prompt: list[int], answer: list[int], max_length: int) -> Encoded:
    room = max_length - len(before) - len(answer)
    if room < 0:  # the completion alone is too long: keep its beginning and its last token
        prompt, answer = [], [*answer[: max_length - len(before) - 1], answer[-1]]
    kept = prompt if len(prompt) <= room else prompt[len(prompt) - max(room, 0) :]
    head = [*before, *kept]
    return Encoded(
        ids=(*head, *answer),
        trained=(False,) * len(head) + (True,) * len(answer),
        cut=len(prompt) > room,
    )


def demonstration_encode(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, max_length: int
) -> Encoded:
    """A demonstration: every turn of the assistant is trained on, its end token included.

    Where the chat template rewrites earlier turns, only the last turn is trained on. Too long: the
    oldest tokens go.
    """
    earlier = _earlier_turns(tokenizer, messages)
    prompt = prompt_encode(tokenizer, messages[:-1])
    answer = completion_encode(tokenizer, messages[-1]["content"])
    known = sum(len(part) for part, _ in earlier)
    parts = [*earlier, (prompt[known:], False), (answer, True)]
    ids = [token for part, _ in parts for token in part]
    trained = [flag for part, flag in parts for _ in part]
    return Encoded(tuple(ids[-max_length:]), tuple(trained[-max_length:]), len(ids) > max_length)


def _earlier_turns(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> list[tuple[list[int], bool]]:
    """(tokens, is the assistant's) stretches up to the end of the last but one assistant's turn.

    Empty where the prompt of the last turn does not begin with exactly these tokens.
    """
    prompt = prompt_encode(tokenizer, messages[:-1])
    parts: list[tuple[list[int], bool]] = []
    known = 0
    for i, message in enumerate(messages[:-1]):
        if message["role"] != "assistant":
            continue
        before = prompt_encode(tokenizer, messages[:i])
        turn = completion_encode(tokenizer, message["content"])
        if prompt[: len(before) + len(turn)] != before + turn:
            return []
        parts += [(before[known:], False), (turn, True)]
        known = len(before) + len(turn)
    return parts
