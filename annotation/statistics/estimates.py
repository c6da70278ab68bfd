"""A figure with its interval, and the intervals of shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Z95 = 1.959963984540054  # the normal quantile of 0.975
RESAMPLES = 1000
FEWEST_PEOPLE = 5  # below that, drawing people again says nothing of how they differ


@dataclass(frozen=True)
class Gauged:
    """A figure with its 95 % interval; `n` is how much it rests on (votes, pairs of votes or pairs)."""

    value: float
    low: float
    high: float
    n: int


def wilson_bounds(share: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's (1927) score interval: ((p + z^2/2n) -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)."""
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    centre, scale = share + z * z / (2 * n), 1 + z * z / n
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return min(share, max(0.0, low)), max(share, min(1.0, high))


def share_estimate(hits: float, n: int) -> Gauged | None:
    """`hits` of `n` with Wilson's interval; None where there is nothing to divide."""
    if not n:
        return None
    low, high = wilson_bounds(hits / n, n)
    return Gauged(hits / n, low, high, n)


def share_over_people(hits: FloatArray, asked: FloatArray, *, seed: int = 0) -> Gauged | None:
    """sum(hits) / sum(asked), both [people], with a percentile bootstrap that draws whole people again.

    Answers of one person resemble each other. With fewer than `FEWEST_PEOPLE` people the interval is
    Wilson's over the answers, which does not allow for that.
    """
    present = asked > 0
    hits, asked = hits[present], asked[present]
    plain = share_estimate(float(hits.sum()), int(asked.sum()))
    if plain is None or len(asked) < FEWEST_PEOPLE:
        return plain
    weights = multinomial_weights(np.ones(len(asked)), seed=seed)
    return interval_of(plain.value, (weights @ hits) / (weights @ asked), n=plain.n)


def multinomial_weights(counts: FloatArray, *, seed: int, resamples: int = RESAMPLES) -> FloatArray:
    """[resamples, kinds]: how often each kind is drawn when all sum(counts) things are drawn again.

    Drawing things with replacement and counting their kinds is one multinomial draw, so that the cost
    depends on how many kinds there are and not on how many things. Where each thing is a kind of its own, as
    people are, drawing the things themselves takes a sixth of the time.
    """
    n = int(counts.sum())
    rng = np.random.default_rng(seed)
    if len(counts) == n and (counts == 1).all():
        places = rng.integers(0, n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
        drawn = np.bincount(places.ravel(), minlength=resamples * n)
        return drawn.reshape(resamples, n).astype(np.float64)
    return rng.multinomial(n, counts / n, size=resamples).astype(np.float64)


def interval_of(value: float, draws: FloatArray, *, n: int) -> Gauged | None:
    """The 2.5th and 97.5th percentiles of bootstrap draws, widened to hold the figure itself.

    None where the figure, or a tenth of the draws, is undefined: there is too little to tell.
    """
    finite = draws[np.isfinite(draws)]
    if not math.isfinite(value) or len(finite) < 0.9 * len(draws):
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return Gauged(value, min(value, float(low)), max(value, float(high)), n)


def shares_differ(earlier: Gauged, later: Gauged) -> tuple[float, float]:
    """The 95 % interval of later - earlier by Newcombe (1998, method 10), from Wilson's two."""
    gap = later.value - earlier.value
    down = math.hypot(later.value - later.low, earlier.high - earlier.value)
    up = math.hypot(later.high - later.value, earlier.value - earlier.low)
    return gap - down, gap + up
