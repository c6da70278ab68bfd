"""Reading single fields of a row: each either gives a clean value or says what is wrong with it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from annotation.comparisons.models import Split
from annotation.exchange.records import RowRejected

LONGEST_TEXT = 1_000_000
LONGEST_NAME = 200
ROLES = ("system", "user", "assistant")

_TURN = re.compile(r"\n\n(Human|Assistant):")
_SURROGATE = re.compile("[\ud800-\udfff]")


def text_field(value: Any, name: str, *, empty: bool = False) -> str:
    """A string that PostgreSQL can hold and that is not blank (unless `empty`)."""
    if not isinstance(value, str):
        found = "missing" if value is None else f"a {type(value).__name__}"
        raise RowRejected(f"{name} is {found}; it should be a text.")
    if not empty and not value.strip():
        raise RowRejected(f"{name} is empty.")
    if len(value) > LONGEST_TEXT:
        raise RowRejected(f"{name} is longer than {LONGEST_TEXT:,} characters.")
    if "\x00" in value:
        raise RowRejected(f"{name} contains a NUL character.")
    if _SURROGATE.search(value):
        raise RowRejected(f"{name} contains half of a surrogate pair, which is no character.")
    return value


def name_field(value: Any, name: str) -> str:
    """A short identifier; numbers are taken as their digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = text_field(value, name).strip()
    if len(text) > LONGEST_NAME:
        raise RowRejected(f"{name} is longer than {LONGEST_NAME} characters.")
    return text


def messages_field(value: Any, name: str) -> tuple[dict[str, str], ...]:
    """[{"role", "content"}, ...], cleaned to these two keys."""
    if not isinstance(value, list) or not value:
        raise RowRejected(f"{name} should be a list of messages that is not empty.")
    return tuple(_message(item, f"{name}[{n}]") for n, item in enumerate(value))


def prompt_field(fields: Mapping[str, Any]) -> tuple[dict[str, str], ...]:
    """The prompt as messages, from `messages`, `prompt` or a debate's title and stance."""
    if "debate_title" in fields and "prompt" not in fields:
        title = text_field(fields["debate_title"], "debate_title")
        stance = text_field(fields.get("stance"), "stance")
        return ({"role": "user", "content": f"{title}\n\nArgue for: {stance}"},)
    value = fields.get("prompt", fields.get("messages"))
    if isinstance(value, list):
        return awaiting_answer(messages_field(value, "prompt"), "prompt")
    text = text_field(value, "prompt")
    if _TURN.match(text):
        return awaiting_answer(transcript(text.removesuffix("\n\nAssistant:"), "prompt"), "prompt")
    return ({"role": "user", "content": text},)


def awaiting_answer(messages: tuple[dict[str, str], ...], name: str) -> tuple[dict[str, str], ...]:
    if messages[-1]["role"] != "user":
        raise RowRejected(
            f"{name} ends with the {messages[-1]['role']}; the user should speak last."
        )
    return messages


def transcript(text: str, name: str) -> tuple[dict[str, str], ...]:
    r"""Messages of "\n\nHuman: ...\n\nAssistant: ..."."""
    before, *turns = _TURN.split(text)
    if before.strip() or not turns:
        raise RowRejected(f"{name} does not begin with a Human turn.")
    speakers = turns[::2]
    if speakers[0] != "Human" or any(a == b for a, b in itertools.pairwise(speakers)):
        raise RowRejected(f"{name}: Human and Assistant do not take turns, beginning with Human.")
    roles = {"Human": "user", "Assistant": "assistant"}
    return tuple(
        {"role": roles[speaker], "content": text_field(said.strip(), f"{name}, turn {n}")}
        for n, (speaker, said) in enumerate(zip(speakers, turns[1::2], strict=True), 1)
    )


def texts_field(fields: Mapping[str, Any]) -> tuple[str, str]:
    """The two completions of a row that does not say which is better."""
    if "completions" in fields:
        found = fields["completions"]
        if not isinstance(found, list) or len(found) != 2:
            raise RowRejected("completions should be a list of two.")
        named: Sequence[tuple[Any, str]] = [
            (found[0], "completions[0]"),
            (found[1], "completions[1]"),
        ]
    else:
        keys = ("a1", "a2") if "a1" in fields else ("completion_a", "completion_b")
        named = [(fields.get(key), key) for key in keys]
    first, second = (completion_field(value, name) for value, name in named)
    return first, second


def completion_field(value: Any, name: str) -> str:
    """A completion as text, as {"text"} or {"content"}, or as one assistant message in a list."""
    if isinstance(value, list):
        messages = messages_field(value, name)
        if len(messages) != 1 or messages[0]["role"] != "assistant":
            raise RowRejected(f"{name} should be one message of the assistant.")
        return messages[0]["content"]
    if isinstance(value, dict):
        value = value.get("text", value.get("content"))
    return text_field(value, name)


def identifier_field(fields: Mapping[str, Any]) -> str:
    for key in ("external_id", "pair_id", "prompt_id", "id"):
        if fields.get(key) is not None:
            return name_field(fields[key], key)
    return ""


def split_field(fields: Mapping[str, Any]) -> str:
    split = fields.get("split")
    if split is None:
        return ""
    if split not in Split.values:
        raise RowRejected(f"split is {split!r}; use {', '.join(Split.values)}, or leave it out.")
    return str(split)


def tags_field(fields: Mapping[str, Any]) -> tuple[str, ...]:
    tags = fields.get("tags")
    if tags is None:
        return ()
    if not isinstance(tags, list) or len(tags) > 20:
        raise RowRejected("tags should be a list of at most 20 short texts.")
    found = tuple(text_field(tag, "a tag").strip() for tag in tags)
    if any(len(tag) > 60 for tag in found):
        raise RowRejected("A tag is longer than 60 characters.")
    return found


def _message(item: Any, name: str) -> dict[str, str]:
    if not isinstance(item, dict):
        raise RowRejected(f"{name} is not an object with role and content.")
    role = item.get("role")
    if role not in ROLES:
        raise RowRejected(f"{name}: the role is {role!r}; use {', '.join(ROLES)}.")
    return {"role": role, "content": text_field(item.get("content"), f"{name}.content")}
