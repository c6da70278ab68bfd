"""Prompts and conversations: lists of messages, transcripts, system turns beside or within them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from annotation.exchange.records import RowRejected

from .fields import list_field, shown, text_field
from .tracked import Fields

Message = dict[str, str]
Messages = tuple[Message, ...]

ROLES = ("system", "user", "assistant")
SPEAKERS: Mapping[str, str] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
}
PROMPTS = (
    "prompt",
    "messages",
    "question",
    "instruction",
    "query",
    "context",
    "conversations",
    "input",
)
SYSTEMS = ("system", "system_prompt")

_TURN = re.compile(r"\n\n(Human|Assistant):")
_SYSTEM = re.compile(r"\s*System:(.*?)(?=\n\nHuman:)", re.DOTALL)
_BEGINS = re.compile(r"\s*(?:System|Human):")


def has_prompt(fields: Mapping[str, Any]) -> bool:
    return "debate_title" in fields or any(fields.get(name) is not None for name in PROMPTS)


def prompt_field(fields: Mapping[str, Any]) -> Messages:
    """The prompt as messages, whatever the row calls it, with a system turn that stands beside it."""
    return with_system(fields, awaiting_answer(_prompt(fields), "prompt"))


def _prompt(fields: Mapping[str, Any]) -> Messages:
    if "debate_title" in fields and "prompt" not in fields:
        title = text_field(fields["debate_title"], "debate_title")
        stance = text_field(fields.get("stance"), "stance")
        return (said("user", f"{title}\n\nArgue for: {stance}"),)
    name = next((name for name in PROMPTS if fields.get(name) is not None), "prompt")
    value = fields.get(name)
    if isinstance(value, list):
        return messages_field(value, name)
    text = text_field(value, name)
    if name == "instruction" and isinstance(fields.get("input"), str) and fields["input"].strip():
        text = f"{text}\n\n{text_field(fields['input'], 'input')}"
    return prompt_text(text, name)


def prompt_text(text: str, name: str) -> Messages:
    r"""A question, or the transcript of a conversation that awaits its answer."""
    if is_transcript(text):
        return transcript(re.sub(r"\n\nAssistant:\s*\Z", "", text), name)
    if "<extra_id_1>" in text:
        return _marked_turns(text, name)
    return (said("user", text),)


def with_system(fields: Mapping[str, Any], messages: Messages) -> Messages:
    """The messages after the system turn that the row has beside them, if any."""
    for name in SYSTEMS:
        value = fields.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        system = said("system", text_field(value, name))
        if messages[0] == system:
            return messages
        if messages[0]["role"] == "system":
            raise RowRejected(f"{name} is not the system turn that the messages begin with.")
        return (system, *messages)
    return messages


def said(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def messages_field(value: Any, name: str) -> Messages:
    """[{"role", "content"}, ...] or [{"from", "value"}, ...]; an empty system turn says nothing."""
    if not isinstance(value, list) or not value:
        raise RowRejected(f"{name} should be a list of messages that is not empty.")
    found = [_message(item, f"{name}[{n}]") for n, item in enumerate(value)]
    messages = tuple(m for m in found if m["role"] != "system" or m["content"].strip())
    if not messages:
        raise RowRejected(f"{name} holds nothing but an empty system turn.")
    return messages


def awaiting_answer(messages: Messages, name: str) -> Messages:
    if not messages or messages[-1]["role"] != "user":
        last = messages[-1]["role"] if messages else "nobody"
        raise RowRejected(f"{name} ends with the {last}; the user should speak last.")
    return messages


def is_transcript(text: Any) -> bool:
    return (
        isinstance(text, str)
        and _BEGINS.match(text) is not None
        and ("\n\nHuman:" in text or "\n\nAssistant:" in text)
    )


def transcript(text: str, name: str) -> Messages:
    r"""Messages of "\n\nHuman: ...\n\nAssistant: ...", a system turn before them if there is one."""
    system = _SYSTEM.match(text)
    if system:
        text = text[system.end() :]
    elif text.startswith("Human:"):
        text = f"\n\n{text}"
    before, *turns = _TURN.split(text)
    if before.strip() or not turns:
        raise RowRejected(f"{name} does not begin with a Human turn.")
    speakers = turns[::2]
    if speakers[0] != "Human" or any(a == b for a, b in itertools.pairwise(speakers)):
        raise RowRejected(f"{name}: Human and Assistant do not take turns, beginning with Human.")
    messages = tuple(
        said(SPEAKERS[speaker.lower()], text_field(words.strip(), f"{name}, turn {n}"))
        for n, (speaker, words) in enumerate(zip(speakers, turns[1::2], strict=True), 1)
    )
    if system and system[1].strip():
        return (
            said("system", text_field(system[1].strip(), f"{name}, the system turn")),
            *messages,
        )
    return messages


def parted(
    chosen: Messages, rejected: Messages, names: Sequence[str] = ("chosen", "rejected")
) -> tuple[Messages, str, str]:
    """The common prompt and the two last answers of two conversations."""
    for name, messages in zip(names, (chosen, rejected), strict=True):
        if messages[-1]["role"] != "assistant" or len(messages) < 2:
            raise RowRejected(f"{name} does not end with an answer of the assistant to a prompt.")
    if chosen[:-1] != rejected[:-1]:
        raise RowRejected(
            f"{names[0]} and {names[1]} part before their last answer: there is no one prompt."
        )
    prompt = awaiting_answer(chosen[:-1], "the prompt")
    return prompt, chosen[-1]["content"], rejected[-1]["content"]


def _message(item: Any, name: str) -> Message:
    if not isinstance(item, dict):
        raise RowRejected(f"{name} is not an object with role and content.")
    role = item.get("role")
    if role is None and "from" in item:
        role = SPEAKERS.get(str(item["from"]).lower(), item["from"])
    if role not in ROLES:
        raise RowRejected(f"{name}: the role is {shown(role)}; use {', '.join(ROLES)}.")
    content = item["content"] if "content" in item else item.get("value")
    if isinstance(content, list):
        content = _parts(content, f"{name}.content")
    return said(role, text_field(content, f"{name}.content", empty=role == "system"))


def _parts(parts: Any, name: str) -> str:
    """The text of a content that comes in parts; a part that is no text cannot be compared here."""
    found = []
    for part in list_field(parts, name):
        if not isinstance(part, Fields) or part.get("type", "text") != "text":
            raise RowRejected(f"{name} holds a part that is no text, such as an image.")
        found.append(text_field(part.get("text"), name))
    return "\n".join(found)


def _marked_turns(text: str, name: str) -> Messages:
    """Turns as HelpSteer2 writes them: the user, then "<extra_id_1>Assistant\\n...", "<extra_id_1>User\\n..."."""
    first, *rest = text.split("<extra_id_1>")
    messages = [said("user", text_field(first.strip("\n"), name))] if first.strip() else []
    for turn in rest:
        speaker, _, words = turn.partition("\n")
        role = SPEAKERS.get(speaker.strip().lower())
        if role is None:
            raise RowRejected(f"{name} has a turn of {shown(speaker)}, not of User or Assistant.")
        if words.strip():
            messages.append(said(role, text_field(words.strip("\n"), name)))
    return tuple(messages)
