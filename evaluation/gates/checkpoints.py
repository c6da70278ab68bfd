"""What the runs that made candidates measured on the way: the mismatch meter, and the forecast of G4.

Both are read from stored figures of finished runs. Nothing here depends on a label of the round.
"""

from __future__ import annotations

from uuid import UUID

import numpy as np

from evaluation.contracts import CheckpointRewards, KlOptimum, RewardMismatch
from evaluation.gates.mismatch import reward_mismatch
from evaluation.gates.models import Decision
from evaluation.gates.records import JudgedRound
from evaluation.metric_rows import (
    POLICY_KINDS,
    REWARD_HELD_OUT,
    REWARD_TRAIN,
    MetricRow,
    kl_of,
)
from evaluation.statistics.curves import RunCurve, pooled_optimum
from training import facade as training

RECENT = 10  # earlier rounds that the forecast looks back on
FORECAST_KINDS = ("ppo", "dpo")  # best of n learns from its own best replies: no law is known


def run_mismatch(version: UUID) -> RewardMismatch | None:
    """The two rewards over the run that made this version, up to the version itself.

    None where it was made by no run, or fewer than two policies were scored by both models.
    """
    run = _run_of(version)
    if run is None:
        return None
    made_at = run.results.get("updates")
    points = tuple(
        CheckpointRewards(at, train, held_out)
        for at, row in _measured(run)
        if (train := row.get(REWARD_TRAIN)) is not None
        and (held_out := row.get(REWARD_HELD_OUT)) is not None
        and (made_at is None or at <= made_at)
    )
    return reward_mismatch(points) if len(points) > 1 else None


def kl_optimum(judged: JudgedRound) -> KlOptimum | None:
    """The KL at which the held-out reward was highest in the line's last decided rounds before this one.

    Of those, the runs by the optimiser that made this candidate count. None where they do not show one.
    """
    assert judged.candidate is not None
    own = _run_of(judged.candidate)
    if own is None or own.kind not in FORECAST_KINDS:
        return None
    curves = {
        number: curve
        for number, version in _earlier_candidates(judged)
        if (run := _run_of(version)) is not None
        and run.kind == own.kind
        and len((curve := _held_out_curve(run)).kl) > 1
    }
    nats = pooled_optimum(list(curves.values()))
    return None if nats is None else KlOptimum(nats, tuple(sorted(curves)))


def _earlier_candidates(judged: JudgedRound) -> list[tuple[int, UUID]]:
    """(number, candidate) of the line's last decided rounds before this one, newest first."""
    earlier = Decision.objects.filter(line=judged.line_id, number__lt=judged.number)
    newest = earlier.order_by("-number", "-revision").distinct("number")
    return list(newest.values_list("number", "candidate")[:RECENT])


def _run_of(version: UUID) -> training.RunRecord | None:
    """The run that optimised this version against a reward; None for one that came from elsewhere."""
    made_by = training.model_version_get(version).run_id
    run = training.run_get(made_by) if made_by is not None else None
    return run if run is not None and run.kind in POLICY_KINDS else None


def _measured(run: training.RunRecord) -> list[tuple[int, MetricRow]]:
    """(update or step, figures) of every policy that the run measured, in order, each once.

    PPO reports an update after it, with the figures of the policy before it. The closing event tells of
    the policy that was kept. A run that was resumed reports some steps twice; the later row counts.
    """
    rows: dict[int, MetricRow] = {}
    kept: MetricRow = {}
    for event in training.run_events(run.id):
        if event.phase == run.kind and event.metrics:
            rows[event.step - 1 if run.kind == "ppo" else event.step] = event.metrics
        elif event.phase == "final":
            kept = event.metrics
    if kept and run.results.get("updates") is not None:
        rows.setdefault(int(run.results["updates"]), kept)
    return sorted(rows.items())


def _held_out_curve(run: training.RunRecord) -> RunCurve:
    """Only policies whose KL and held-out reward were both measured."""
    points = [
        (max(kl, 0.0), reward)
        for _, row in _measured(run)
        if (kl := kl_of(row)) is not None and (reward := row.get(REWARD_HELD_OUT)) is not None
    ]
    table = np.array(points, dtype=np.float64).reshape(-1, 2)
    return RunCurve(kl=table[:, 0], reward=table[:, 1])
