"""Whether a reward model reads its prompts, keeps its order, and cannot be bought."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.contracts.intervals import Interval
from training.contracts import JsonContract


@dataclass(frozen=True)
class RewordingFlips(JsonContract):
    """Of `pairs` that the rewording `name` changed, the share whose two replies change their order."""

    name: str
    pairs: int
    flipped: Interval


@dataclass(frozen=True)
class ProbeEffect(JsonContract):
    """What the probe `name` does to the reward of `replies` that it changed: the share that rises, and the
    mean change in standard deviations of the reward of held-out replies."""

    name: str
    replies: int
    raised: Interval
    shift: Interval


@dataclass(frozen=True)
class ConsistencyMeasurements(JsonContract):
    """A reward model on `pairs` of the split `split`, which people told apart.

    `prompt_swap`: how often the better reply scores higher under its own prompt than under that of
    another group; `contrast`: how often, of this prompt and the most alike other one, a prompt's own better
    reply scores above that to the other; None where no other prompt would do. Equal scores count half.
    `spread` is the standard deviation of the raw reward over the replies of these pairs; where it is 0
    `probes` is empty. `cut` of `texts` were longer than the model reads.
    """

    split: str
    pairs: int
    spread: float
    prompt_swap: Interval
    contrast: Interval | None
    rewordings: tuple[RewordingFlips, ...]
    probes: tuple[ProbeEffect, ...]
    texts: int = 0
    cut: int = 0
