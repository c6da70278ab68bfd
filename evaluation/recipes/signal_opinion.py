"""Train a reward head on what users said, and measure it beside people's reward model.

    python -m evaluation.recipes.signal_opinion < ORDER.json

ORDER holds `reward_model` (a folder), `preferences` (the round's snapshot) and `examples`, each with `messages`,
`text`, `other` (the text that it is better than, or null for a thumb), `up`, `user` and `conversation`. The
reward model is frozen: the head is linear on the states behind its scores. A quarter of the conversations is held
out. Writes a `SignalOpinion` to standard output, and no file. What cannot be learned from: its `problem`, exit
code 0.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from annotation.rows import PreferenceRow
from evaluation.contracts import Interval, SignalOpinion
from evaluation.statistics.discrimination import discrimination_interval
from evaluation.statistics.intervals import FloatArray, cluster_share_interval
from evaluation.statistics.signal_head import FEWEST_USERS, HeadExamples, SignalHead, head_fit
from training.contracts import require_finite
from training.core.data.json_lines import preferences_read
from training.core.reward.scoring import RewardModel, reward_model_load

HELD_OUT_SHARE = 0.25
MOST_JUDGED = 2_000


@dataclass(frozen=True)
class Read:
    """States [N, d] and mean raw scores [N] of N texts, by people's reward model."""

    states: FloatArray
    scores: FloatArray

    def take(self, rows: slice) -> Read:
        return Read(self.states[rows], self.scores[rows])


@dataclass(frozen=True)
class Said:
    """Examples with both texts read; the second of a thumb is its text again."""

    first: Read
    second: Read
    paired: np.ndarray[Any, np.dtype[np.bool_]]
    up: np.ndarray[Any, np.dtype[np.bool_]]
    users: list[str]
    held_out: np.ndarray[Any, np.dtype[np.bool_]]


def main() -> int:
    order = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):  # libraries print
        found = opinion(order).to_json()
    require_finite(found, "the second opinion")
    print(json.dumps(found))
    return 0


def opinion(order: dict[str, Any]) -> SignalOpinion:
    examples = order["examples"]
    kinds = [each["other"] is not None for each in examples]
    users = len({each["user"] for each in examples})
    counts = SignalOpinion(pairs=sum(kinds), votes=len(kinds) - sum(kinds), users=users)
    if users < FEWEST_USERS:
        return _without(counts, f"{users} users said something of answers that are still kept")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = reward_model_load(Path(order["reward_model"]), device=device)
    said = _said(model, examples)
    learned = np.flatnonzero(~said.held_out)
    seen = [said.users[i] for i in learned]
    if len(set(seen)) < FEWEST_USERS:
        return _without(counts, f"{len(set(seen))} users are left beside the held-out signals")
    try:
        head = head_fit(
            HeadExamples(
                said.first.states[learned],
                said.second.states[learned],
                said.paired[learned],
                said.up[learned],
                seen,
            )
        )
    except ValueError as error:
        return replace(counts, problem=f"No head was trained: {error}")
    judged = _judged(preferences_read(Path(order["preferences"])))
    return replace(
        counts,
        held_out=int(said.held_out.sum()),
        largest_share=head.largest_share,
        judged=len(judged),
        **_on_signals(head, said),
        **_on_labels(head, model, judged),
    )


def _without(counts: SignalOpinion, why: str) -> SignalOpinion:
    problem = (
        f"No head was trained: {why}, and {FEWEST_USERS} are needed so that nobody weighs more than"
    )
    return replace(counts, problem=f"{problem} {1 / FEWEST_USERS:.0%}.")


def is_held_out(conversation: str) -> bool:
    """By the conversation, so that none is on both sides."""
    drawn = hashlib.sha256(f"held out {conversation}".encode()).digest()
    return int.from_bytes(drawn[:8]) < HELD_OUT_SHARE * 2**64


def _read(model: RewardModel, texts: Sequence[tuple[Any, str]]) -> Read:
    found = model.score(texts, batch_size=32, states=True)
    states = torch.cat([part.double() for part in found.states], dim=1)
    return Read(states.numpy(), found.raw.mean(0).double().numpy())


def _said(model: RewardModel, examples: Sequence[dict[str, Any]]) -> Said:
    others = [each["text"] if each["other"] is None else each["other"] for each in examples]
    firsts = [(each["messages"], each["text"]) for each in examples]
    seconds = [(each["messages"], text) for each, text in zip(examples, others, strict=True)]
    read, n = _read(model, [*firsts, *seconds]), len(examples)
    return Said(
        read.take(slice(0, n)),
        read.take(slice(n, None)),
        np.array([each["other"] is not None for each in examples]),
        np.array([bool(each["up"]) for each in examples]),
        [each["user"] for each in examples],
        np.array([is_held_out(each["conversation"]) for each in examples]),
    )


def _on_signals(head: SignalHead, said: Said) -> dict[str, Any]:
    first, second = head.scores(said.first.states), head.scores(said.second.states)
    of_head = _told(said, first, second)
    of_people = _told(said, said.first.scores, said.second.scores)
    return {
        "pairs_right": of_head[0],
        "thumbs_told": of_head[1],
        "pairs_right_people": of_people[0],
        "thumbs_told_people": of_people[1],
    }


def _told(
    said: Said, first: FloatArray, second: FloatArray
) -> tuple[Interval | None, Interval | None]:
    """(pairs ordered as the user did, thumbs told apart) of the held-out signals, over users."""
    pairs = np.flatnonzero(said.held_out & said.paired)
    thumbs = np.flatnonzero(said.held_out & ~said.paired)
    right = (np.sign(first[pairs] - second[pairs]) + 1) / 2
    return (
        _share(right, [said.users[i] for i in pairs]),
        discrimination_interval(
            first[thumbs],
            said.up[thumbs],
            clusterings=[[said.users[i] for i in thumbs]],
        )
        if len(thumbs)
        else None,
    )


def _judged(rows: Sequence[PreferenceRow]) -> list[PreferenceRow]:
    """Pairs that people told apart and no model learned from: of the test split, or of validation."""
    for split in ("test", "validation"):
        found = [row for row in rows if row.split == split and not row.tie]
        if found:
            return found[:MOST_JUDGED]
    return []


def _on_labels(
    head: SignalHead, model: RewardModel, rows: Sequence[PreferenceRow]
) -> dict[str, Any]:
    if not rows:
        return {}
    read = _read(model, [(row.messages, text) for row in rows for text in row.completions])
    mine, theirs = (
        np.sign(scores[::2] - scores[1::2]) for scores in (head.scores(read.states), read.scores)
    )
    people = np.sign(np.array([row.preference for row in rows]) - 0.5)
    groups = [row.group for row in rows]
    return {
        "agreement": _share((mine * theirs + 1) / 2, groups),
        "labels_right": _share((mine * people + 1) / 2, groups),
        "labels_right_people": _share((theirs * people + 1) / 2, groups),
    }


def _share(values: FloatArray, clusters: list[str]) -> Interval | None:
    """None with fewer than two clusters, of which there is no interval."""
    return cluster_share_interval(values, clusters) if len(set(clusters)) > 1 else None


if __name__ == "__main__":
    sys.exit(main())
