"""Conversations as token ids, cut to a length without ever dropping one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from training.core.data import Message
from training.core.tokenizers import (
    chat_render,
    completion_encode,
    encode,
    prompt_encode,
    turn_end_id,
)


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
    parts = _turns(tokenizer, messages) or _last_turn(tokenizer, messages)
    ids = [token for part, _ in parts for token in part]
    trained = [flag for part, flag in parts for _ in part]
    return Encoded(tuple(ids[-max_length:]), tuple(trained[-max_length:]), len(ids) > max_length)


def _turns(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> list[tuple[list[int], bool]] | None:
    """(tokens, is the assistant's) stretches, or None where the rendering is not a prefix code."""
    parts: list[tuple[list[int], bool]] = []
    done = ""
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = chat_render(tokenizer, messages[:i])
        after = chat_render(tokenizer, messages[: i + 1], for_completion=False)
        if not (before.startswith(done) and after.startswith(before)):
            return None
        turn = encode(tokenizer, after[len(before) :])
        end = turn_end_id(tokenizer)
        length = turn.index(end) + 1 if end in turn else len(turn)
        parts += [(encode(tokenizer, before[len(done) :]), False), (turn[:length], True)]
        parts.append((turn[length:], False))
        done = after
    return parts


def _last_turn(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> list[tuple[list[int], bool]]:
    prompt = prompt_encode(tokenizer, messages[:-1])
    return [(prompt, False), (completion_encode(tokenizer, messages[-1]["content"]), True)]
