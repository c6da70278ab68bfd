"""The difference of two rates on the same items, with its interval."""

from __future__ import annotations

import math

import numpy as np

from evaluation.contracts import Interval
from evaluation.statistics.intervals import FloatArray
from evaluation.statistics.quantiles import normal_quantile, t_quantile

__all__ = ["paired_difference_interval", "paired_spread"]


def paired_difference_interval(
    first: FloatArray, second: FloatArray, *, level: float = 0.95
) -> Interval:
    """t interval of mean(first - second) over N items, values in [0, 1], never narrower than

    z^2 / (N + z^2) to either side: what Tango's (1998) score interval leaves where no item differs.
    Without that floor a handful of items on which both sides agree would prove anything. An item's
    value is the mean of its draws, so that draws of one item are not counted as items.
    """
    difference = first - second
    n = len(difference)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 items, got {n}.")
    mean = float(difference.mean())
    t = t_quantile(0.5 + level / 2, n - 1) * paired_spread(first, second) / math.sqrt(n)
    room = max(t, _floor(n, level))
    low, high = max(-1.0, mean - room), min(1.0, mean + room)
    return Interval(mean, low, high, level, n, "paired t, score floor")


def paired_spread(first: FloatArray, second: FloatArray) -> float:
    """Standard deviation over items of the paired differences."""
    return float(np.std(first - second, ddof=1))


def _floor(n: int, level: float) -> float:
    z = normal_quantile(0.5 + level / 2)
    return z * z / (n + z * z)
