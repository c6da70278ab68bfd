"""The completions that won, as examples to learn from and as lines for people to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import torch

from training.core.conversations import Encoded
from training.core.data import PromptRow

__all__ = ["Examples", "Winner", "chosen_lines"]


class Winner(NamedTuple):
    """The best completion of one prompt; `place` is that of the prompt among the iteration's."""

    place: int
    prompt: int
    response: list[int]
    text: str
    score: float
    held_out: float | None


@dataclass(frozen=True)
class Examples:
    """Token ids of whole conversations, and where in each the completion begins."""

    rows: list[list[int]] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.rows]

    def encoded(self, chosen: Sequence[int]) -> list[Encoded]:
        """Some of them; the completion's tokens are trained on, its end token included."""
        found = []
        for i in chosen:
            row, begin = self.rows[i], self.begins[i]
            trained = (False,) * begin + (True,) * (len(row) - begin)
            found.append(Encoded(tuple(row), trained))
        return found

    def to_state(self) -> dict[str, Any]:
        """One tensor for all tokens: a checkpoint of many short lists would be slow to write."""
        flat = [token for row in self.rows for token in row]
        return {
            "tokens": torch.tensor(flat, dtype=torch.long),
            "lengths": torch.tensor(self.lengths, dtype=torch.long),
            "begins": torch.tensor(self.begins, dtype=torch.long),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Examples:
        tokens, lengths = state["tokens"].tolist(), state["lengths"].tolist()
        ends = list(accumulate(lengths))
        rows = [tokens[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        return cls(rows, state["begins"].tolist())


def chosen_lines(
    path: Path, winners: Sequence[Winner], prompts: Sequence[PromptRow], *, iteration: int
) -> bytes:
    """The JSON lines of `path` from earlier iterations (counted from 1), and these winners after them."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["iteration"] < iteration]
    for winner in winners:
        row = prompts[winner.prompt]
        document = {
            "messages": [*row.messages, {"role": "assistant", "content": winner.text}],
            "prompt_id": row.id,
            "iteration": iteration,
            "reward_train": winner.score,
            "reward_held_out": winner.held_out,
        }
        kept.append(json.dumps(document, ensure_ascii=False))
    return "".join(line + "\n" for line in kept).encode()
