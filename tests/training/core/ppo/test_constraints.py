"""The price of a constraint rises while it is broken, falls while it holds, and is never negative."""

from __future__ import annotations

import pytest

from training.contracts import KlControl
from training.core.ppo.constraints import next_multiplier

CONTROL = KlControl(kind="lagrangian", target=2.0, rate=0.1)


@pytest.mark.parametrize(
    ("beta", "kl", "after"),
    [
        (0.2, 2.0, 0.2),  # at the limit
        (0.2, 3.0, 0.25),  # half over it
        (0.2, 50.0, 0.3),  # far over it counts as twice it
        (0.2, 1.0, 0.15),
        (0.03, 0.0, 0.0),  # 0.03 - 0.1
        (0.5, -7.0, 0.4),  # an estimate below 0 moves it no further than the rate
        (0.0, 2.4, 0.02),  # it comes back from 0
    ],
)
def test_the_price_climbs_the_dual(beta: float, kl: float, after: float) -> None:
    assert next_multiplier(beta, control=CONTROL, sequence_kl=kl) == pytest.approx(after)
