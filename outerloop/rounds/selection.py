"""Which of the sampled pairs people are asked about.

Most pairs are those on which the members of the reward model disagree about the winner; a stated
share is drawn at random, because only a random arm gives unbiased estimates.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Chosen:
    """`probability` is that of being drawn by the random arm; 1 for a pair chosen by its score."""

    row: Mapping[str, Any]
    strategy: str
    probability: float


def pairs_choose(
    rows: Sequence[Mapping[str, Any]], *, wanted: int, random_share: float, seed: int
) -> list[Chosen]:
    """Choose `wanted` of the rows (`completions` format, two completions each with member scores).

    Rows whose two texts are the same ask nothing and are left out. Without member scores every pair
    is drawn at random.
    """
    distinct = [
        row for row in rows if row["completions"][0]["text"] != row["completions"][1]["text"]
    ]
    if not distinct or wanted <= 0:
        return []
    scored = all(disagreement(row) is not None for row in distinct)
    wanted = min(wanted, len(distinct))
    at_random = wanted if not scored else math.ceil(wanted * random_share)
    rng = random.Random(seed)
    order = list(range(len(distinct)))
    rng.shuffle(order)
    probability = at_random / len(distinct)
    drawn = [Chosen(distinct[i], "random", probability) for i in order[:at_random]]
    rest = sorted(order[at_random:], key=lambda i: -(disagreement(distinct[i]) or 0.0))
    return drawn + [
        Chosen(distinct[i], "ensemble_disagreement", 1.0) for i in rest[: wanted - at_random]
    ]


def disagreement(row: Mapping[str, Any]) -> float | None:
    """Standard deviation over members of P(first is better); None without two members' scores."""
    first, second = (completion.get("scores") or {} for completion in row["completions"][:2])
    members = sorted(name for name in first if "/member_" in name and name in second)
    if len(members) < 2:
        return None
    chances = [1 / (1 + math.exp(_clamp(second[m] - first[m]))) for m in members]
    mean = sum(chances) / len(chances)
    return math.sqrt(sum((p - mean) ** 2 for p in chances) / len(chances))


def _clamp(logit: float) -> float:
    return max(-50.0, min(50.0, logit))
