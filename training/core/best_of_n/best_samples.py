"""The completions that won, as examples to learn from and as lines for people to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from annotation.rows import PromptRow
from training.core.best_of_n.estimates import best_rows
from training.core.data.conversations import Encoded
from training.core.rollout.episodes import Episodes
from training.core.rollout.metrics import Scores
from training.core.rollout.rewarding import penalise_missing_eos

__all__ = ["BestSample", "DrawnShare", "Examples", "best_samples_choose", "chosen_lines"]


class BestSample(NamedTuple):
    """The best completion of one prompt; `place` is that of the prompt among the iteration's."""

    place: int
    prompt: int
    response: list[int]
    text: str
    score: float
    held_out: float | None


class DrawnShare(NamedTuple):
    """One process's share: its winners, and the scores (P, n) of all that it drew."""

    winners: list[BestSample]
    train: Tensor
    held_out: Tensor | None


def best_samples_choose(
    asked: Sequence[tuple[int, int]],
    drawn: Episodes,
    scores: Scores,
    *,
    n: int,
    missing_eos_penalty: float,
) -> DrawnShare:
    """The best of `n` completions of every prompt; `asked` holds (place, prompt) of each."""
    ended = torch.tensor(drawn.ended, dtype=torch.bool)
    fined = penalise_missing_eos(scores.train.cpu(), ended, penalty=missing_eos_penalty)
    train = fined.view(-1, n)
    held_out = None if scores.held_out is None else scores.held_out.cpu().view(-1, n)
    winners = []
    for row, ((place, prompt), best) in enumerate(
        zip(asked, best_rows(train).tolist(), strict=True)
    ):
        at = row * n + best
        watched = None if held_out is None else float(held_out[row, best])
        words = drawn.responses[at], drawn.texts[at]
        winners.append(BestSample(place, prompt, *words, float(train[row, best]), watched))
    return DrawnShare(winners, train, held_out)


@dataclass(frozen=True)
class Examples:
    """Token ids of whole conversations, and where in each the completion begins."""

    rows: list[list[int]] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, winners: Sequence[BestSample], prompt_ids: Sequence[list[int]]) -> Examples:
        begins = [len(prompt_ids[winner.prompt]) for winner in winners]
        return cls([[*prompt_ids[w.prompt], *w.response] for w in winners], begins)

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
    path: Path, winners: Sequence[BestSample], prompts: Sequence[PromptRow], *, iteration: int
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
