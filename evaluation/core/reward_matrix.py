"""Reward models of several rounds on what the policies of several rounds wrote.

The inputs of the run say what is there: "past_policy_N" holds what the candidate of round N wrote, as JSON
lines, none where nothing was kept; "past_reward_model_N" is the reward model of round N, where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.contracts import PAST_POLICY, CrossReward, RewardMatrix
from evaluation.statistics.intervals import cluster_mean_interval
from training.core.reward.scoring import Conversation, RewardModel

__all__ = ["PolicyTexts", "matrix_measure", "past_rounds", "written_read"]


@dataclass(frozen=True)
class PolicyTexts:
    """What one policy wrote: conversations, each with the group of its prompt."""

    texts: Sequence[Conversation]
    groups: Sequence[str]

    def __bool__(self) -> bool:
        """Whether an interval can be drawn."""
        return len(set(self.groups)) > 1


def past_rounds(inputs: Iterable[str]) -> list[int]:
    """The numbers of the earlier rounds that the order names."""
    return sorted(int(name[len(PAST_POLICY) :]) for name in inputs if name.startswith(PAST_POLICY))


def written_read(path: Path) -> PolicyTexts:
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
    ]
    texts = [(tuple(row["messages"]), str(row["text"])) for row in rows]
    return PolicyTexts(texts, [str(row["group"]) for row in rows])


def matrix_measure(
    rounds: Sequence[int],
    written: Mapping[int | None, PolicyTexts],
    load: Callable[[int | None], RewardModel | None],
    *,
    batch_size: int,
    level: float,
) -> RewardMatrix:
    """Every reward model that `load` has, one in memory at a time, on everything that was written."""
    cells = [
        cell
        for number in (*rounds, None)
        if (model := load(number)) is not None
        for cell in _row(number, model, written, batch_size, level)
    ]
    return RewardMatrix(tuple(rounds), tuple(cells))


def _row(
    number: int | None,
    model: RewardModel,
    written: Mapping[int | None, PolicyTexts],
    batch_size: int,
    level: float,
) -> Iterator[CrossReward]:
    for policy, found in written.items():
        if not found:
            continue
        scores = model.score(found.texts, batch_size=batch_size).combined().double().numpy()
        reward = cluster_mean_interval(np.asarray(scores), found.groups, level=level)
        yield CrossReward(number, policy, reward)
