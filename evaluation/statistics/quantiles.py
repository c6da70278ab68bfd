"""Quantiles of the normal and of Student's t distribution.

From `scipy.special`, whose functions `scipy.stats` wraps: every process of the site, every worker and every
command loads this package, and `scipy.stats` alone takes longer to load than all of Django.
"""

from __future__ import annotations

from scipy import special


def normal_quantile(probability: float) -> float:
    """The z below which a standard normal variable lies with `probability` in [0, 1]."""
    return float(special.ndtri(probability))


def t_quantile(probability: float, degrees: float) -> float:
    """The t below which a Student's t variable of `degrees` of freedom lies with `probability`; NaN for
    no degree."""
    return float(special.stdtrit(degrees, probability))
