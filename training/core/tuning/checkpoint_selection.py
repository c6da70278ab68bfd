"""Which policy a run leaves behind, and what ends it before its time.

The last one measured; with a KL budget the last one within it; with a patience the one whose held-out
reward was best. A policy that gave cause for an alarm is never kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from torch import Tensor

from training.contracts import Alarms, MeasureConfig, PpoConfig
from training.core.run.alarms import AlarmRaised, alarm_of, row_of
from training.core.run.errors import UserError
from training.core.run.run_directory import Run
from training.core.sharding import tensor_load

__all__ = ["CheckpointSelection", "Limits", "weights_load"]

Row = Mapping[str, float | None]


@dataclass(frozen=True)
class Limits:
    """`kl_budget`: nats per sequence, 0 for none. `held_out_patience`: measurements without a better
    held-out reward after which the run ends, 0 for no end. `alarms`: what no run goes on after."""

    kl_budget: float = 0.0
    held_out_patience: int = 0
    alarms: Alarms = field(default_factory=Alarms)

    @classmethod
    def of(cls, measure: PpoConfig | MeasureConfig) -> Self:
        budget = measure.kl.budget if isinstance(measure, PpoConfig) else measure.kl_budget
        return cls(budget, measure.held_out_patience, measure.alarms)


@dataclass
class CheckpointSelection:
    """Plain values and tensors, so that a checkpoint holds it. `at` counts updates or steps.

    `weights` of a sharded policy are this process's parts, until a checkpoint gathers them.
    `rows` are what the alarms watch, one a measurement; `alarm` is the one that ended the run.
    """

    at: int | None = None
    row: dict[str, float | None] = field(default_factory=dict)
    weights: list[Tensor] = field(default_factory=list)
    best_held_out: float | None = None
    best_at: int | None = None
    waited: int = 0
    rows: list[dict[str, float | None]] = field(default_factory=list)
    alarm: dict[str, Any] = field(default_factory=dict)

    def note(self, row: Row, *, at: int, weights: Sequence[Tensor], limits: Limits) -> str:
        """Look at one measurement; returns why the run ends here, or "" where it goes on.

        Raises `UserError` where the very first policy is beyond the budget.
        """
        if limits.kl_budget > 0 and (row["kl_k1"] or 0.0) > limits.kl_budget:
            if self.at is None:
                raise UserError(
                    "The policy is further from the reference than the KL budget "
                    f"({limits.kl_budget} nats) before the first update: raise the budget, or start "
                    "from a policy nearer to the reference."
                )
            return "kl_budget"
        self.rows.append(row_of(row))
        ending = self._alarm(limits.alarms, at)
        if ending:
            return ending
        if alarm_of(self.rows, limits.alarms, patience=1):  # suspect: it may still recover
            return ""
        better = self._note_held_out(row["reward_held_out"], at)
        if better or limits.held_out_patience == 0:
            self.at, self.row = at, dict(row)
            self.weights = [weight.detach().to("cpu", copy=True) for weight in weights]
        tired = 0 < limits.held_out_patience <= self.waited
        return "held_out_reward" if tired else ""

    def note_learned(self, row: Row, *, at: int, limits: Limits) -> str:
        """Look at how the step from the last measurement went; returns the alarm that it raised, or ""."""
        self.rows[-1] = row_of(row)
        return self._alarm(limits.alarms, at)

    def _alarm(self, limits: Alarms, at: int) -> str:
        """The name of the alarm that the rows raise. Raises it where nothing was learned before."""
        alarm = alarm_of(self.rows, limits)
        if alarm is None:
            return ""
        if not self.at:
            raise AlarmRaised(alarm)
        self.alarm = alarm.to_json() | {"at": at}
        return alarm.name

    def report(self, run: Run[Any], total: int, *, stopped_by: str) -> None:
        """The last event, on the policy that is kept; one of its own before it for an alarm."""
        if self.alarm:
            phase, at = f"alarm {self.alarm['name']}", int(self.alarm["at"])
            run.emit(phase, at, total, message=str(self.alarm["says"]))
        run.emit("final", 1, 1, self.row, message=f"Stopped by {stopped_by}.")

    def results(self) -> dict[str, Any]:
        """Its part of a run's results."""
        return {
            "final": self.row,
            "updates": self.at,
            "alarm": self.alarm or None,
            "best_held_out_update": self.best_at,
            "best_held_out_reward": self.best_held_out,
        }

    def _note_held_out(self, reward: float | None, at: int) -> bool:
        if reward is None or (self.best_held_out is not None and reward <= self.best_held_out):
            self.waited += 1
            return False
        self.best_held_out, self.best_at, self.waited = reward, at, 0
        return True

    def restore(self, weights: Sequence[Tensor]) -> None:
        """Put the kept weights in place of the present ones."""
        if self.weights:
            weights_load(weights, self.weights)

    def to_state(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state)


def weights_load(parameters: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    """Copy weights, whole or in parts, into parameters, whole or in parts."""
    for parameter, weight in zip(parameters, weights, strict=True):
        tensor_load(parameter, weight)
