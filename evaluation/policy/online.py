"""The error level of each gate test of a line: error control over all its rounds."""

from __future__ import annotations

import math

# What makes the first test's level 6/pi^2 of alpha, the largest term of a series 1/t^2 that sums to 1.
FIRST = math.pi**2 / 6 - 1
BEYOND = 0.1  # of what a line has earned beyond alpha, the share that one test may spend
SMALLEST = 1e-9


def error_left(spent: float, discoveries: int, alpha: float) -> float:
    """What a line may still spend on errors: alpha for each discovery (and for none), less `spent`."""
    return max(0.0, alpha * max(1, discoveries) - spent)


def error_level(spent: float, discoveries: int, alpha: float) -> float:
    """Level of a line's next test after `discoveries` that cost `spent` together (`error_cost`).

    With w = min(1, what is left / alpha) it is alpha * w^2 / (w + pi^2/6 - 1), plus a tenth of what is
    left beyond alpha. The sum of all costs never exceeds alpha * max(1, discoveries), so the expected
    number of mistaken discoveries is at most alpha times that of discoveries (or of one), and a line
    whose candidates are never better makes any with probability at most alpha: `error_cost` says why.
    """
    if discoveries < 0 or not spent >= 0:
        raise ValueError(f"{spent!r} cannot have been spent on {discoveries!r} discoveries.")
    left = error_left(spent, discoveries, alpha) / alpha
    within = min(1.0, left)
    level = alpha * (within**2 / (within + FIRST) + BEYOND * (left - within)) if left > 0 else 0.0
    return max(SMALLEST, level)


def error_cost(level: float, e_value: float, *, discovered: bool) -> float:
    """What an ended test costs: its level, less what the evidence it ends with would buy back.

    A test at level L bets the probability L of an error; if it ends undecided at an e-value E, the
    bet is still worth L * E, since E is the capital of a fair game under "not better". By optional
    stopping P(discovery) <= E[cost] where it is not better, with cost L (1 - min(1, E)) undecided and
    L where it was a discovery. The refund never exceeds the stake, so good candidates cannot pay for
    bad ones. Summed: generalised alpha-investing (Aharoni and Rosset 2014) with payout alpha.
    """
    return level if discovered else level * (1.0 - min(1.0, max(0.0, e_value)))


def e_lond_level(test_number: int, discoveries: int, alpha: float) -> float:
    """The level by which records without a cost were decided: alpha * 6 / (pi t)^2 * (discoveries + 1).

    e-LOND (Xu and Ramdas 2024), kept so that old verdicts can be made again from their evidence.
    """
    if test_number < 1 or not 0 <= discoveries < test_number:
        raise ValueError(
            f"test number {test_number} cannot follow {discoveries} discoveries: tests count from "
            "1 and each earlier one makes at most one discovery."
        )
    return alpha * 6.0 / (math.pi * test_number) ** 2 * (discoveries + 1)
