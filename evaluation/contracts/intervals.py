"""An estimate and how far it may be off."""

from __future__ import annotations

from dataclasses import dataclass

from training.contracts import JsonContract


@dataclass(frozen=True)
class Interval(JsonContract):
    """An estimate with its two-sided interval; `n` counts independent units (groups, labels).

    A NaN is refused where the field that holds the interval can be named (`require_finite`): when
    measurements are written, read, and decided on.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    method: str = ""

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"the interval's low {self.low!r} must not exceed high {self.high!r}.")
