"""How a prompt that is too long is made to fit, so that what is left can still be read as a conversation."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from training.contracts import Truncation
from training.core.data.json_lines import Message

__all__ = ["FittedPrompt", "least_prompt", "prompt_fit", "turns_dropped"]

Render = Callable[[Sequence[Message]], list[int]]
_LEAST_SHARE = 8


class FittedPrompt(NamedTuple):
    """Token ids of a prompt, and whether something of it was left out."""

    ids: list[int]
    cut: bool


def least_prompt(max_length: int) -> int:
    """Tokens that a prompt keeps, if it has so many, however long its completion is: an eighth."""
    return max(1, max_length // _LEAST_SHARE)


def prompt_fit(
    render: Render, messages: Sequence[Message], room: int, truncation: Truncation
) -> FittedPrompt | None:
    """The prompt in at most `room` tokens; None where `truncation` is "drop" and it is longer.

    "oldest_turns": what begins the conversation for the template (its BOS) and the system's message stay,
    and the oldest turns go until the rest fits, rendered anew and begun by a turn of the user. Where not
    even the last turn fits, and with "middle" at once, tokens in the middle go: the beginning and the
    end, where the assistant is told to speak, stay.
    """
    whole = render(messages)
    if len(whole) <= room:
        return FittedPrompt(whole, False)
    if truncation == "drop":
        return None
    if truncation == "oldest_turns":
        whole = _newest_turns(render, messages, room)
    return FittedPrompt(_middle_cut(whole, room), True)


def turns_dropped(messages: Sequence[Message]) -> list[list[Message]]:
    """The conversation without its oldest turns, the longest first: each begins with a turn of the user,
    behind the system's message where there is one."""
    system = [m for m in messages[:1] if m["role"] == "system"]
    return [
        [*system, *messages[start:]]
        for start in range(len(system) + 1, len(messages))
        if messages[start]["role"] == "user"
    ]


def _newest_turns(render: Render, messages: Sequence[Message], room: int) -> list[int]:
    """The longest that fits of the prompts without their oldest turns; the shortest where none does."""
    shorter = turns_dropped(messages)
    if not shorter:
        return render(messages)
    first = bisect_left(shorter, True, key=lambda rest: len(render(rest)) <= room)
    return render(shorter[min(first, len(shorter) - 1)])


def _middle_cut(ids: list[int], room: int) -> list[int]:
    if len(ids) <= room:
        return ids
    end = (room + 1) // 2
    return [*ids[: room - end], *ids[len(ids) - end :]]
