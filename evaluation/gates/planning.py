"""What the next decision of a line takes, before a round is started."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from annotation import facade as annotation
from evaluation.contracts import GatePolicySettings, HumanLabels
from evaluation.gates.models import Decision
from evaluation.gates.selectors import error_control
from evaluation.policy import check_settings, error_level
from evaluation.statistics.planning import fixed_sample_labels, labels_for_power

EFFECTS = (0.55, 0.60, 0.65)
WEEK = timedelta(days=7)
EVERY_ROUND = 2**31 - 1


@dataclass(frozen=True)
class LabelsForEffect:
    """To show a true win rate `effect` (ties aside) four times in five: about `labels`; a test that is
    looked at once takes `limit`. `days` at last week's pace, None where nobody labelled."""

    effect: float
    labels: int
    limit: int
    days: int | None
    within_budget: bool

    @property
    def win_rate(self) -> str:
        return f"{self.effect:.0%}"


@dataclass(frozen=True)
class DecisionPlan:
    """The line's next test: its level, and what it is planned with."""

    test_number: int
    level: float
    ties: float
    ties_known: bool
    people: int
    labels_a_day: float
    rows: tuple[LabelsForEffect, ...]

    @property
    def evidence_needed(self) -> float:
        return 1.0 / self.level

    @property
    def tie_share(self) -> str:
        return f"{self.ties:.0%}"


def decision_plan(line_id: UUID, settings: GatePolicySettings) -> DecisionPlan:
    """With the ties and annotators of the line's last judged round, or none and those that are asked."""
    control = error_control(line_id, before=EVERY_ROUND)
    level = error_level(control.spent, control.discoveries, settings.alpha)
    last = _last_labels(line_id)
    asked = int(check_settings(settings)["G1"].thresholds["annotators"])
    people = max(asked, last.annotators) if last else asked
    ties = min(0.95, last.ties / last.labels) if last else 0.0
    pace = annotation.labels_since(line_id=line_id, since=timezone.now() - WEEK) / WEEK.days
    counted = people if settings.hypothesis == "population" else None

    def row(effect: float) -> LabelsForEffect:
        labels = labels_for_power(effect, level=level, ties=ties, people=counted)
        return LabelsForEffect(
            effect=effect,
            labels=labels,
            limit=fixed_sample_labels(effect, level=level, ties=ties),
            days=math.ceil(labels / pace) if pace else None,
            within_budget=labels <= settings.max_labels,
        )

    return DecisionPlan(
        test_number=control.tests + 1,
        level=level,
        ties=ties,
        ties_known=last is not None,
        people=people,
        labels_a_day=pace,
        rows=tuple(row(effect) for effect in EFFECTS),
    )


def _last_labels(line_id: UUID) -> HumanLabels | None:
    row = (
        Decision.objects.filter(line=line_id, tested=True).order_by("-number", "-revision").first()
    )
    return row.evidence.labels if row else None
