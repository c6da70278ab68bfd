"""The gate of a line, or of this installation, tried on evidence that belongs to no round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from annotation.contracts import GateLabel
from evaluation.contracts import (
    CheckpointRewards,
    GateMeasurements,
    GatePolicySettings,
    GateVerdict,
    RewardMismatch,
)
from evaluation.gates.labelled import labels_join
from evaluation.gates.mismatch import reward_mismatch
from evaluation.gates.outcomes import TrainScores
from evaluation.gates.planning import EVERY_ROUND
from evaluation.gates.policies import DEFAULT, gate_policy_current
from evaluation.gates.selectors import error_control
from evaluation.policy import error_level, gate_decide
from evaluation.statistics.betting import Aim
from evaluation.statistics.planning import labels_for_power


@dataclass(frozen=True)
class GateInForce:
    """A gate policy and where its error control stands: what the next test would be decided by."""

    settings: GatePolicySettings
    version: int
    tests: int = 0
    discoveries: int = 0
    spent: float = 0.0

    @property
    def level(self) -> float:
        return error_level(self.spent, self.discoveries, self.settings.alpha)

    def aim(self, pairs: int) -> Aim:
        """What the bets are aimed at where `pairs` may be shown."""
        wanted = labels_for_power(self.settings.smallest_effect, level=self.level)
        return Aim(self.level, max(1, min(pairs, self.settings.max_labels, wanted)))


@dataclass(frozen=True)
class Rehearsal:
    """One candidate before the gate. `measured` is all but the labels, `pairs` what may be shown."""

    gate: GateInForce
    measured: GateMeasurements
    candidate: UUID
    incumbent: UUID
    pairs: int


def gate_in_force(line_id: UUID | None) -> GateInForce:
    """The newest policy of the line and the state of its error control; without a line the default's."""
    if line_id is None:
        return GateInForce(DEFAULT, DEFAULT.version)
    row, control = gate_policy_current(line_id), error_control(line_id, before=EVERY_ROUND)
    return GateInForce(
        row.gate_settings, row.version, control.tests, control.discoveries, control.spent
    )


def gate_rehearse(
    rehearsal: Rehearsal, labels: Sequence[GateLabel], scores: TrainScores
) -> GateVerdict:
    """What the gate would say after these labels; nothing is stored. Pure."""
    gate = rehearsal.gate
    left = min(rehearsal.pairs, gate.settings.max_labels) - len(labels)
    joined = labels_join(
        rehearsal.measured,
        labels,
        candidate=rehearsal.candidate,
        incumbent=rehearsal.incumbent,
        scores=scores,
        settings=gate.settings,
        aim=gate.aim(rehearsal.pairs),
        labels_left=max(0, left),
        expired=False,
    )
    return gate_decide(joined, gate.settings)


def mismatch_of(points: Sequence[CheckpointRewards]) -> RewardMismatch | None:
    """The mismatch meter's evidence of a run; None where nothing of it was measured."""
    return reward_mismatch(points) if points else None
