"""Quantiles against `scipy.stats`, into the tails that evidence is counted in."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from evaluation.statistics.quantiles import normal_quantile, t_quantile

PROBABILITIES = [1e-40, 1e-9, 0.025, 0.5, 0.9, 0.995, 1 - 1e-6]


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_they_are_those_of_scipy(probability: float) -> None:
    assert normal_quantile(probability) == pytest.approx(stats.norm.ppf(probability), rel=1e-12)
    for degrees in (1, 3.5, 7, 200):
        expected = stats.t.ppf(probability, degrees)
        assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)


def test_the_ends_are_infinite_and_no_degree_of_freedom_has_none() -> None:
    assert (normal_quantile(0), normal_quantile(1)) == (-math.inf, math.inf)
    assert t_quantile(1, 5) == math.inf
    assert math.isnan(t_quantile(0.9, 0))
