"""Suites: fixed questions that both policies answer, so that what the labels do not ask is seen too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.contracts import JsonContract

SuiteKind = Literal["safety", "minimal_pairs", "exact_match"]

ANSWER, REFUSE = "answer", "refuse"


@dataclass(frozen=True)
class SuiteItem(JsonContract):
    """One question. What the fields hold depends on the suite's kind:

    safety: `prompt`, and `wanted` is "answer" or "refuse"; minimal_pairs: the sentences `wanted` and
    `unwanted`; exact_match: `prompt`, and `wanted` is a number. `type` groups items in a table.
    """

    id: str
    wanted: str
    prompt: str = ""
    unwanted: str = ""
    type: str = ""


@dataclass(frozen=True)
class Suite(JsonContract):
    name: str
    kind: SuiteKind
    items: tuple[SuiteItem, ...]
