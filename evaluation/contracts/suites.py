"""Suites: fixed questions that both policies answer, and answers that a reward model tells apart."""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class RewardSuiteItem(JsonContract):
    """A prompt and answers to it: a reward model should score every one of `chosen` above every one of
    `rejected`.

    `by_style`: both list as many answers, from terse to embellished, and each chosen is held against each
    rejected by itself (RM-Bench, Liu et al. 2024).
    """

    messages: tuple[dict[str, str], ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    subset: str = ""
    by_style: bool = False


@dataclass(frozen=True)
class RewardSuite(JsonContract):
    name: str
    items: tuple[RewardSuiteItem, ...]


@dataclass(frozen=True)
class TaskSuite(JsonContract):
    """A task of lm-evaluation-harness, which both policies answer through that library.

    `task` is its name there, or the YAML file among `files`: name to text of all that lies in the
    task's own folder. `metric` is as the library's tables have it ("acc", or
    "exact_match,strict-match" with the filter of the reply). At most `limit` items of each of its
    parts are asked, `chat` inside the policy's chat template. `items` and `digest` are what was found
    when it was checked; 0 and empty before.
    """

    name: str
    task: str
    metric: str = ""
    limit: int = 1000
    chat: bool = False
    items: int = 0
    digest: str = ""
    files: dict[str, str] = field(default_factory=dict)
    kind: Literal["lm_eval"] = "lm_eval"
