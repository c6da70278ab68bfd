"""Which policy is left behind: the last, the last within the budget, the best by the held-out model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from training.core.run.errors import UserError
from training.core.tuning.checkpoint_selection import CheckpointSelection, Limits


def walk(
    limits: Limits, rows: Sequence[tuple[float, float | None]]
) -> tuple[CheckpointSelection, str, float]:
    """Measure policies whose one weight is 0, 1, 2 ...; returns the weight that is kept as well."""
    kept, weight, ending = CheckpointSelection(), torch.zeros(1), ""
    for at, (kl, held_out) in enumerate(rows):
        weight.fill_(at)
        row = {"kl_k1": kl, "reward_held_out": held_out}
        ending = kept.note(row, at=at, weights=[weight], limits=limits)
        if ending:
            break
    kept.restore([weight])
    return kept, ending, float(weight)


def test_without_limits_the_last_one_is_kept() -> None:
    kept, ending, weight = walk(Limits(), [(0, 1.0), (5, 3.0), (9, 2.0)])
    assert (kept.at, ending, weight) == (2, "", 2.0)
    assert (kept.best_at, kept.best_held_out) == (1, 3.0)


def test_past_the_budget_the_last_one_within_it_is_kept() -> None:
    kept, ending, weight = walk(Limits(kl_budget=6), [(0, 1.0), (5, 3.0), (6.5, 9.0), (2, 9.0)])
    assert (kept.at, ending, weight) == (1, "kl_budget", 1.0)
    assert kept.row == {"kl_k1": 5, "reward_held_out": 3.0}


def test_at_the_budget_is_within_it_and_a_budget_of_0_is_none() -> None:
    assert walk(Limits(kl_budget=6.0), [(0, 1.0), (6.0, 3.0)])[1:] == ("", 1.0)
    assert walk(Limits(kl_budget=0.0), [(0, 1.0), (99.0, 3.0)])[1:] == ("", 1.0)


def test_patience_ends_the_run_and_keeps_the_best() -> None:
    rows = [(0.0, 1.0), (1.0, 2.0), (2.0, 1.5), (3.0, 2.0), (4.0, 9.0)]
    kept, ending, weight = walk(Limits(held_out_patience=2), rows)
    assert (kept.at, ending, weight) == (1, "held_out_reward", 1.0)


def test_a_better_one_starts_the_patience_anew() -> None:
    rows = [(0.0, 1.0), (1.0, 0.5), (2.0, 1.5), (3.0, 1.4), (4.0, 1.6)]
    kept, ending, weight = walk(Limits(held_out_patience=2), rows)
    assert (kept.at, ending, weight) == (4, "", 4.0)


def test_with_a_patience_the_best_is_kept_even_when_the_updates_run_out() -> None:
    kept, ending, weight = walk(Limits(held_out_patience=3), [(0, 1.0), (1, 2.0), (2, 1.0)])
    assert (kept.at, ending, weight) == (1, "", 1.0)


def test_a_first_policy_beyond_the_budget_is_refused() -> None:
    with pytest.raises(UserError, match="before the first update"):
        walk(Limits(kl_budget=1.0), [(2.0, 1.0)])


def test_it_travels_through_a_checkpoint_s_state() -> None:
    kept, *_ = walk(Limits(held_out_patience=3), [(0, 1.0), (1, 2.0), (2, 1.0)])
    assert CheckpointSelection.from_state(kept.to_state()) == kept
