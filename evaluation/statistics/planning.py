"""How many labels a decision takes: before a round, and from where a round stands."""

from __future__ import annotations

import math

from scipy import special

from evaluation.statistics.betting import AIMED
from evaluation.statistics.quantiles import normal_quantile, t_quantile

__all__ = ["POWER", "fixed_sample_labels", "labels_for_power", "labels_to_go"]

POWER = 0.8
MOST = 10_000_000


def labels_for_power(
    effect: float,
    *,
    level: float,
    ties: float = 0.0,
    people: int | None = None,
    power: float = POWER,
) -> int:
    """About how many labels show a true win rate `effect` (ties aside) with this power.

    The bets are aimed at 1/u, u = AIMED level: a walk of drift d a label, in standard deviations, must
    touch q sqrt(T) by label T, q = -inverse normal(u / 2). P = Phi(d sqrt(T) - q) + exp(2 d q sqrt(T))
    Phi(-q - d sqrt(T)), the first passage of Brownian motion with drift. Counted by annotator, q is
    the t of as small a probability, `people` - 1 degrees of freedom; that people differ is not in it.
    """
    from scipy.optimize import (
        brentq,
    )  # here, since it is slow to load and most processes plan nothing

    drift = _drift(effect, ties)
    barrier = -normal_quantile(AIMED * level / 2)
    if people is not None:
        barrier = -t_quantile(AIMED * level / 2, max(1, people - 1))

    def short(root: float) -> float:
        reached = drift * root
        tail = 2 * reached * barrier + float(special.log_ndtr(-barrier - reached))
        return float(special.ndtr(reached - barrier)) + math.exp(tail) - power

    root = float(brentq(short, 1e-3, math.sqrt(MOST)))
    return math.ceil(root**2)


def fixed_sample_labels(
    effect: float, *, level: float, ties: float = 0.0, power: float = POWER
) -> int:
    """The limit: labels of a one-sided test that looks once, ((z_level + z_power) / d)^2."""
    z = normal_quantile(power) - normal_quantile(level)
    return math.ceil((z / _drift(effect, ties)) ** 2)


def labels_to_go(mean: float, deviation: float, *, level: float, aimed: int, done: int) -> int:
    """About how many labels more until the bets reach their aim, at the `mean` outcome so far.

    `deviation` is the standard deviation of one outcome, wider where annotators differ. 0 once there;
    `MOST` where the mean so far leads nowhere.
    """
    barrier = -normal_quantile(AIMED * level / 2) * math.sqrt(aimed) * deviation
    gain = mean - 0.5
    left = barrier - gain * done
    if left <= 0:
        return 0
    return MOST if gain <= left / MOST else math.ceil(left / gain)


def _drift(effect: float, ties: float) -> float:
    """Mean over standard deviation of an outcome: +1 won, -1 lost, 0 tied."""
    if not 0.5 < effect < 1 or not 0 <= ties < 1:
        raise ValueError(f"no labels show a win rate of {effect!r} with {ties!r} ties.")
    mean = (2 * effect - 1) * (1 - ties)
    return mean / math.sqrt((1 - ties) - mean**2)
