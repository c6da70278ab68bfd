"""Rows without judgments, and what keeps a judged row of a foreign shape from being taken for one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .messages import has_prompt
from .texts import couple_of, has_two

Raw = Mapping[str, Any]

_ANSWER_LIKE = re.compile(
    r"(?:^|[_.\-\s])(?:answers?|responses?|completions?|outputs?|repl(?:y|ies)|candidates?|generations?|"
    r"summar(?:y|ies)|chosen|rejected|votes?|voted|winner|label|labels|labeled|prefer\w*|rat(?:ing|ings|ed)|"
    r"scores?|ranks?|ranking|choices?|better|safer|best|worst|judge\w*|annotat\w*|feedback|helpful\w*|"
    r"selected|comparison|verdict|gold|critique|solution|reward|conversation_[ab]|human_ref)(?=$|[_.\-\s\d])",
    re.IGNORECASE,
)


def answers_within(fields: Raw, *, but: Sequence[str] = ()) -> list[str]:
    """Fields that look like answers or judgments and hold something: they are never left out unasked."""
    return [
        name
        for name, value in fields.items()
        if name not in but
        and value is not None
        and value not in ("", [], {})
        and _ANSWER_LIKE.search(re.sub(r"([a-z])([A-Z])", r"\1_\2", name))
    ]


def is_prompt(fields: Raw) -> bool:
    """A prompt under one of its own names; what else may be one is taken where the format is given."""
    named = any(name in fields for name in ("prompt", "messages", "debate_title"))
    return named and not answers_within(fields)


def has_pair(fields: Raw) -> bool:
    return has_two(fields) and has_prompt(fields)


def is_pair(fields: Raw) -> bool:
    known = ("completions", *(couple_of(fields) or ()))
    return has_pair(fields) and not answers_within(fields, but=known)
