"""How few labels undo what the win rate shows: against the closed form and every subset."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.gates.fragility import labels_to_flip
from evaluation.gates.outcomes import Outcome, human_labels
from evaluation.statistics.betting import Aim, hedged_e_process

LEVEL = 0.05


def flip(
    values: list[float], level: float = LEVEL, alpha: float = LEVEL, win_rate: float = 0.5
) -> int | None:
    """Every label is a block of its own, and the claim is for the people who gave them."""
    outcomes = [Outcome(str(i), str(i), "someone", value, value) for i, value in enumerate(values)]
    alone = CheckSettings(thresholds={"annotators": 1.0, "win_rate": win_rate})
    settings = GatePolicySettings(alpha=alpha, hypothesis="panel", checks={"G1": alone})
    aim = Aim(level, 100)
    found = human_labels(outcomes, settings=settings, aim=aim, labels_left=0, expired=False)
    return labels_to_flip(outcomes, found, settings=settings, aim=aim)


def evidence(values: np.ndarray, level: float = LEVEL) -> float:
    return float(hedged_e_process(values, aim=Aim(level, 100)).max())


def test_of_wins_alone_as_many_go_as_hold_the_evidence_above_the_bound() -> None:
    enough = next(n for n in range(1, 99) if evidence(np.ones(n)) >= 1 / LEVEL)
    assert flip([1.0] * enough) == 1
    assert flip([1.0] * (enough + 5)) == 6
    assert flip([1.0] * (enough - 1)) is None


@pytest.mark.parametrize("seed", range(6))
def test_no_smaller_set_of_labels_would_do(seed: int) -> None:
    values = np.ones(11)
    values[np.random.default_rng(seed).choice(11, 2, replace=False)] = (0.0, 0.5)
    level = next(x for x in np.arange(0.05, 0.6, 0.01) if evidence(values, x) >= 1.3 / x)

    def undone(left_out: tuple[int, ...]) -> bool:
        rest = np.delete(values, left_out)
        return len(rest) == 0 or evidence(rest, level) < 1 / level

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
    against_more, against_even = flip([1.0] * 30, win_rate=0.6), flip([1.0] * 30)
    assert against_more is not None
    assert against_even is not None
    assert 0 < against_more < against_even
