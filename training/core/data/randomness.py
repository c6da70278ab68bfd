"""Random numbers that depend on where a run is, never on how it got there.

Every draw is seeded by the run's seed, a purpose and counters. So a resumed run needs no cursor but
the number of updates done, and the global generators are set anew at the start of each update.
"""

from __future__ import annotations

import hashlib

import torch

__all__ = ["PromptOrder", "derive_seed"]


def derive_seed(*parts: int | str) -> int:
    """A seed below 2^63 from a run's seed, a purpose and counters."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class PromptOrder:
    """An endless sequence of prompt numbers: every pass over `count` prompts is its own shuffle."""

    def __init__(self, count: int, *, seed: int) -> None:
        self._count, self._seed = count, seed
        self._shuffles: dict[int, list[int]] = {}

    def take(self, start: int, number: int) -> list[int]:
        """The prompts at positions `start` ... `start + number - 1`."""
        return [self._at(position) for position in range(start, start + number)]

    def _at(self, position: int) -> int:
        number, offset = divmod(position, self._count)
        if number not in self._shuffles:
            generator = torch.Generator().manual_seed(derive_seed(self._seed, "prompts", number))
            shuffle: list[int] = torch.randperm(self._count, generator=generator).tolist()
            self._shuffles = {number: shuffle}  # earlier passes are over
        return self._shuffles[number][offset]
