"""Reward and evaluation over the checkpoints of a run (Lambert and Calandra 2023, Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from evaluation.contracts import CheckpointRewards, RewardMismatch, RoundRecord
from evaluation.formatting import number
from evaluation.reports.charts import layers
from evaluation.reports.charts.altair import alt
from evaluation.reports.charts.layers import Chart, Series
from evaluation.reports.charts.palette import HELD_OUT, TRAIN


def mismatch(record: RoundRecord) -> Chart | None:
    """checkpoint -> training and held-out reward, and below them the steps from one to the next."""
    found = record.mismatch
    if found is None or len(found.checkpoints) < 2:
        return None
    points = found.checkpoints
    bare = alt.X("x:Q", axis=alt.Axis(title=None, labels=False, ticks=False))
    levels = layers.lines(_rewards(points), bare, layers.axis_y("reward (z)"), points=True)
    x = layers.axis_x("checkpoint (updates or steps)", whole=True)
    steps = layers.lines(_steps(points), x, layers.axis_y("step (z)"), points=True, legend=False)
    drawn = alt.vconcat(
        levels.properties(width=280, height=150),
        alt.layer(steps, layers.level_rule(0.0)).properties(width=280, height=90),
        spacing=14,
    ).resolve_scale(x="shared")
    return Chart(
        "Reward and evaluation by checkpoint",
        _words(found),
        layers.specification(drawn),
        layers.values_of("checkpoint", _rewards(points)),
    )


def _rewards(points: Sequence[CheckpointRewards]) -> list[Series]:
    return [
        Series("training", TRAIN, [(float(p.at), p.train) for p in points]),
        Series("held-out", HELD_OUT, [(float(p.at), p.held_out) for p in points]),
    ]


def _steps(points: Sequence[CheckpointRewards]) -> list[Series]:
    """First differences, at the checkpoint to which each step leads."""
    moves = list(pairwise(points))
    return [
        Series("training", TRAIN, [(float(b.at), b.train - a.train) for a, b in moves]),
        Series("held-out", HELD_OUT, [(float(b.at), b.held_out - a.held_out) for a, b in moves]),
    ]


def _words(found: RewardMismatch) -> str:
    first, last = found.checkpoints[0], found.checkpoints[-1]
    said = (
        f"Over {len(found.checkpoints)} checkpoints up to the candidate the training reward went from "
        f"{first.train:.2f} to {last.train:.2f} z, the held-out reward from {first.held_out:.2f} to "
        f"{last.held_out:.2f} z."
    )
    if found.correlation is not None:
        correlated = number(found.correlation)
        said += f" The steps of the two correlate by {correlated} (Spearman, 90% interval)."
    if found.parted:
        last_steps = "step" if found.parted == 1 else f"{found.parted} steps"
        said += (
            f" At the last {last_steps} the training reward rose while the held-out reward fell."
        )
    return said
