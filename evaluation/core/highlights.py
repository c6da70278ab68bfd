"""The pairs that a person should read first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from annotation.rows import PromptRow
from evaluation.contracts import SamplePair, SampleSide
from evaluation.core.comparison import Side
from evaluation.statistics.intervals import FloatArray

__all__ = ["highlights_pick"]


def highlights_pick(
    sides: Mapping[str, Side],
    prompts: Sequence[PromptRow],
    *,
    kl: FloatArray,
    each: int = 3,
) -> tuple[SamplePair, ...]:
    """The best wins and worst losses by the held-out reward model, and where the training one sees
    most that the held-out one does not; one pair a prompt. `prompts` has one entry a completion.
    """
    candidate, incumbent = sides["candidate"], sides["incumbent"]
    held_out = candidate.held_out - incumbent.held_out
    gap = candidate.train - incumbent.train - held_out
    different = np.array(
        [
            a.text != b.text
            for a, b in zip(candidate.completions, incumbent.completions, strict=True)
        ]
    )
    orders = {
        "best_win": np.where(different & (held_out > 0), held_out, -np.inf),
        "worst_loss": np.where(different & (held_out < 0), -held_out, -np.inf),
        "largest_gap": np.where(different & (gap > 0), gap, -np.inf),
    }
    taken: set[str] = set()
    pairs: list[SamplePair] = []
    for kind, values in orders.items():
        chosen = _first(values, prompts, taken, each)
        pairs += [_pair(kind, i, sides, prompts[i], kl) for i in chosen]
    return tuple(pairs)


def _first(
    values: FloatArray, prompts: Sequence[PromptRow], taken: set[str], each: int
) -> list[int]:
    """Indices of the `each` largest finite values, no prompt twice."""
    chosen: list[int] = []
    for i in np.argsort(-values, kind="stable").tolist():
        if len(chosen) == each or not np.isfinite(values[i]):
            break
        if prompts[i].id not in taken:
            taken.add(prompts[i].id)
            chosen.append(i)
    return chosen


def _pair(
    kind: str, i: int, sides: Mapping[str, Side], prompt: PromptRow, kl: FloatArray
) -> SamplePair:
    return SamplePair.from_json(
        {
            "kind": kind,
            "prompt_id": prompt.id,
            "messages": prompt.messages,
            "candidate": _side(sides["candidate"], i, float(kl[i])),
            "incumbent": _side(sides["incumbent"], i, None),
        }
    )


def _side(side: Side, i: int, kl: float | None) -> SampleSide:
    completion = side.completions[i]
    return SampleSide(
        completion.text, len(completion.tokens), float(side.train[i]), float(side.held_out[i]), kl
    )
