"""Seconds and tokens of each phase of an update."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch

__all__ = ["Throughput"]


@dataclass
class Throughput:
    """Running sums over a whole run, earlier attempts included."""

    seconds: dict[str, float]
    tokens: dict[str, int]

    @classmethod
    def start(cls, phases: Sequence[str]) -> Self:
        return cls(dict.fromkeys(phases, 0.0), dict.fromkeys(phases, 0))

    @contextmanager
    def timed(self, phase: str, device: torch.device) -> Iterator[None]:
        began = time.monotonic()
        yield
        if device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds[phase] += time.monotonic() - began

    def copy(self) -> Throughput:
        return Throughput(dict(self.seconds), dict(self.tokens))

    def since(self, before: Throughput) -> dict[str, float | None]:
        """Seconds and tokens per second of each phase since the sums given."""
        rates: dict[str, float | None] = {}
        for phase in self.seconds:
            spent = self.seconds[phase] - before.seconds[phase]
            done = self.tokens[phase] - before.tokens[phase]
            rates[f"seconds_{phase}"] = spent
            rates[f"tokens_per_second_{phase}"] = done / spent if spent > 0 else None
        return rates

    def results(self) -> dict[str, Any]:
        """Its part of a run's results."""
        seconds = {phase: round(spent, 3) for phase, spent in self.seconds.items()}
        return {"tokens": dict(self.tokens), "seconds": seconds}

    def to_state(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state)
