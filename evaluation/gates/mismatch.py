"""From two rewards over the checkpoints of a run to the mismatch meter. Pure: no database."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.contracts import CheckpointRewards, Interval, RewardMismatch
from evaluation.statistics.curves import FEWEST, first_difference_correlation


def reward_mismatch(points: Sequence[CheckpointRewards]) -> RewardMismatch:
    """G7's evidence; `points` in the order of the run, up to the policy that is judged."""
    return RewardMismatch(tuple(points), _correlation(points), _parted(points))


def _correlation(points: Sequence[CheckpointRewards]) -> Interval | None:
    if len(points) < FEWEST:
        return None
    train, held_out = [p.train for p in points], [p.held_out for p in points]
    try:
        return first_difference_correlation(train, held_out, seed=0)
    except ValueError:  # a reward that does not move correlates with nothing
        return None


def _parted(points: Sequence[CheckpointRewards]) -> int:
    """How many steps running, up to the last, the training reward rose while the held-out one fell."""
    steps = 0
    for before, after in zip(reversed(points[:-1]), reversed(points[1:]), strict=True):
        if not (after.train > before.train and after.held_out < before.held_out):
            break
        steps += 1
    return steps
