"""Preferences as fine-tuning services and trainers take them: OpenAI's and ShareGPT's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.exchange.records import ImportRow

from .fields import dict_field
from .messages import prompt_field
from .preferences import decided
from .texts import completion_field
from .tracked import Fields

OUTPUTS = ("preferred_output", "non_preferred_output")


def is_openai(fields: Mapping[str, Any]) -> bool:
    return isinstance(fields.get("input"), dict) and all(name in fields for name in OUTPUTS)


def openai_row(fields: Fields) -> list[ImportRow]:
    """`input.messages`, `preferred_output` and `non_preferred_output`, each one message in a list."""
    prompt = prompt_field(dict_field(fields.get("input"), "input"))
    chosen, rejected = (completion_field(fields.get(name), name) for name in OUTPUTS)
    return decided(fields, prompt, chosen, rejected)


def is_sharegpt(fields: Mapping[str, Any]) -> bool:
    turns = isinstance(fields.get("conversations"), list) or isinstance(
        fields.get("messages"), list
    )
    return turns and all(isinstance(fields.get(name), dict) for name in ("chosen", "rejected"))


def sharegpt_row(fields: Fields) -> list[ImportRow]:
    """`conversations` [{"from", "value"}], `chosen` and `rejected` one message each; `system` beside them."""
    chosen, rejected = (completion_field(fields.get(name), name) for name in ("chosen", "rejected"))
    return decided(fields, prompt_field(fields), chosen, rejected)
