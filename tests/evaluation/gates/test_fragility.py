"""How few labels undo what the win rate shows: against the closed form and every subset."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.gates.fragility import labels_to_flip
from evaluation.gates.outcomes import Outcome
from evaluation.statistics.sequences import FRACTIONS, e_process

LEVEL = 0.05


def flip(values: list[float], level: float = LEVEL, alpha: float = LEVEL) -> int | None:
    outcomes = [Outcome(str(i), str(i), "someone", value) for i, value in enumerate(values)]
    return labels_to_flip(outcomes, settings=GatePolicySettings(alpha=alpha), level=level)


def test_of_wins_alone_as_many_go_as_hold_the_evidence_above_the_bound() -> None:
    """After n wins the evidence is the mean over the bettors f of (1 + f)^n."""
    enough = next(n for n in range(1, 99) if ((1 + FRACTIONS) ** n).mean() >= 1 / LEVEL)
    assert flip([1.0] * enough) == 1
    assert flip([1.0] * (enough + 5)) == 6
    assert flip([1.0] * (enough - 1)) is None


@pytest.mark.parametrize("seed", range(6))
def test_no_smaller_set_of_labels_would_do(seed: int) -> None:
    values = np.random.default_rng(seed).choice([0.0, 0.5, 1.0], 11, p=[0.1, 0.1, 0.8])
    level = 0.999 / float(e_process(values).max() * 0.6)  # it is shown, not narrowly

    def undone(left_out: tuple[int, ...]) -> bool:
        rest = np.delete(values, left_out)
        return len(rest) == 0 or bool(e_process(rest).max() < 1 / level)

    fewest = next(k for k in range(1, 12) if any(map(undone, itertools.combinations(range(11), k))))
    assert flip(values.tolist(), level=level, alpha=1e-6) == fewest


def test_what_is_shown_worse_hangs_on_the_losses_at_the_policy_s_level() -> None:
    wins = [1.0, 1.0, 0.0, 1.0, 0.5, 1.0, 1.0] * 6
    mirrored = [1 - value for value in wins]
    assert flip(mirrored, level=1e-9) == flip(wins) is not None


def test_while_nothing_is_shown_nothing_hangs() -> None:
    assert flip([]) is None
    assert flip([1.0, 0.0] * 40) is None


def test_the_bound_of_the_policy_is_the_one_that_counts() -> None:
    """Against "at most 60 %" fewer labels hold what even odds make sure."""
    outcomes = [Outcome(str(i), str(i), "someone", 1.0) for i in range(30)]
    strict = GatePolicySettings(checks={"G1": CheckSettings(thresholds={"win_rate": 0.6})})
    against_more = labels_to_flip(outcomes, settings=strict, level=LEVEL)
    against_even = labels_to_flip(outcomes, settings=GatePolicySettings(), level=LEVEL)
    assert against_more is not None
    assert against_even is not None
    assert 0 < against_more < against_even
