"""The level of each gate test of a line: error control over all its rounds."""

from __future__ import annotations

import math


def e_lond_level(test_number: int, discoveries: int, alpha: float) -> float:
    """Level of a line's test number t (from 1) after `discoveries` earlier discoveries.

    alpha_t = alpha * gamma_t * (discoveries + 1) with gamma_t = 6 / (pi t)^2, which sums to 1; the
    candidate is a discovery when its e-value reaches 1 / alpha_t. Keeps the false discovery rate
    over all rounds at most alpha under any dependence (e-LOND, Xu and Ramdas 2024).
    """
    if test_number < 1 or not 0 <= discoveries < test_number:
        raise ValueError(
            f"test number {test_number} cannot follow {discoveries} discoveries: tests count from "
            "1 and each earlier one makes at most one discovery."
        )
    return alpha * 6.0 / (math.pi * test_number) ** 2 * (discoveries + 1)
