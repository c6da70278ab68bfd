"""Conversations as token ids, made to fit a length so that a completion keeps its prompt and its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from annotation.rows import DemonstrationRow
from training.contracts import Truncation
from training.core.data.fitting import FittedRows
from training.core.data.json_lines import Message
from training.core.data.tokenizers import (
    chat_render,
    completion_encode,
    encode,
    harmless,
    prompt_encode,
)
from training.core.data.truncation import FittedPrompt, least_prompt, prompt_fit, turns_dropped


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
    truncation: Truncation = "oldest_turns",
) -> Encoded:
    """Prompt and completion as a reward model reads them: the last token ends the turn.

    For texts that must have a score: one that is too long is cut, whatever `truncation` says of rows to
    train on. A completion that leaves its prompt too little room loses the end of its text, never the
    token that ends the turn. Without a chat template (plain encoders) the prompt is the joined contents,
    and the tokenizer's own separators stand around the two parts.
    """
    how: Truncation = "oldest_turns" if truncation == "drop" else truncation
    answer = _answer(tokenizer, completion)
    room = max_length - len(answer)
    fitted = _prompt_fit(tokenizer, messages, max(room, least_prompt(max_length)), how)
    assert fitted is not None  # only "drop" gives none
    left = max_length - len(fitted.ids)
    kept = answer if len(answer) <= left else [*answer[: left - 1], answer[-1]]
    return _joined(fitted, kept, cut=len(kept) < len(answer))


def completions_encode(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    completions: Sequence[str],
    *,
    max_length: int,
    truncation: Truncation,
) -> list[Encoded] | None:
    """Completions of one prompt, to learn from: whole, all behind the same tokens of the prompt.

    None where the row is to be dropped: "drop" asks for it and something does not fit, or a completion
    leaves the prompt less than `least_prompt` tokens (and less than it has).
    """
    answers = [_answer(tokenizer, completion) for completion in completions]
    room = max_length - max(map(len, answers))
    fitted = _prompt_fit(tokenizer, messages, max(room, 0), truncation)
    if fitted is None or len(fitted.ids) > room or (fitted.cut and room < least_prompt(max_length)):
        return None
    return [_joined(fitted, answer) for answer in answers]


def _joined(prompt: FittedPrompt, answer: Sequence[int], *, cut: bool = False) -> Encoded:
    return Encoded(
        ids=(*prompt.ids, *answer),
        trained=(False,) * len(prompt.ids) + (True,) * len(answer),
        cut=prompt.cut or cut,
    )


def _prompt_fit(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    room: int,
    truncation: Truncation,
) -> FittedPrompt | None:
    speaks = bool(getattr(tokenizer, "chat_template", None))
    of = prompt_encode if speaks else _plain_prompt
    return prompt_fit(lambda rest: of(tokenizer, rest), messages, room, truncation)


def _answer(tokenizer: PreTrainedTokenizerBase, completion: str) -> list[int]:
    if getattr(tokenizer, "chat_template", None):
        return completion_encode(tokenizer, completion)
    separator = tokenizer.sep_token_id
    end = separator if separator is not None else tokenizer.eos_token_id
    answer = encode(tokenizer, harmless(tokenizer, completion))
    return answer if end is None else [*answer, end]


def _plain_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    first, separator = tokenizer.cls_token_id, tokenizer.sep_token_id
    text = harmless(tokenizer, "\n\n".join(m["content"] for m in messages))
    prompt = encode(tokenizer, text if separator is not None else text + "\n\n")
    return [
        *([] if first is None else [first]),
        *prompt,
        *([] if separator is None else [separator]),
    ]


def demonstration_encode(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    *,
    max_length: int,
    truncation: Truncation = "oldest_turns",
) -> Encoded | None:
    """A demonstration: every turn of the assistant is trained on, its end token included.

    Where the chat template rewrites earlier turns, only the last turn is trained on, and so it is where
    tokens in the middle had to go. None where the row is to be dropped (as `completions_encode` does).
    """
    whole = _turns_encode(tokenizer, messages)
    if len(whole.ids) <= max_length:
        return whole
    if truncation == "oldest_turns":
        for shorter in turns_dropped(messages):
            kept = _turns_encode(tokenizer, shorter)
            if len(kept.ids) <= max_length:
                return Encoded(kept.ids, kept.trained, True)
    last = completions_encode(
        tokenizer, messages[:-1], [messages[-1]["content"]],
        max_length=max_length, truncation=truncation,
    )  # fmt: skip
    return last[0] if last else None


def demonstrations_encode(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[DemonstrationRow],
    file: str,
    *,
    max_length: int,
    truncation: Truncation = "oldest_turns",
) -> FittedRows[Encoded]:
    """Every demonstration that fits; raises `UserError` with the number of a row of the input `file` that
    the chat template refuses."""
    return FittedRows.of(
        rows,
        lambda row: demonstration_encode(
            tokenizer, row.messages, max_length=max_length, truncation=truncation
        ),
        name=lambda number, _: f"Row {number} of {file!r}",
        cut=lambda encoded: encoded.cut,
        max_length=max_length,
    )


def _turns_encode(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> Encoded:
    chat_render(tokenizer, messages, for_completion=False)  # which refuses turns in a wrong order
    earlier = _earlier_turns(tokenizer, messages)
    prompt = prompt_encode(tokenizer, messages[:-1])
    answer = completion_encode(tokenizer, messages[-1]["content"])
    known = sum(len(part) for part, _ in earlier)
    parts = [*earlier, (prompt[known:], False), (answer, True)]
    ids = [token for part, _ in parts for token in part]
    trained = [flag for part, flag in parts for _ in part]
    return Encoded(tuple(ids), tuple(trained))


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
