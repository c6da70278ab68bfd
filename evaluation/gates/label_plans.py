"""A plan of labelling that was kept, and what has come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from annotation import facade as annotation
from evaluation.contracts import Interval
from evaluation.gates.actors import Actor, actor_key, actor_name
from evaluation.gates.learning import AccuracyForecast
from evaluation.gates.models import Decision
from evaluation.gates.plan_models import LabelPlan
from evaluation.reports.selectors import reward_models_measured
from evaluation.statistics.design import LabellingDesign
from web.services import audit_record


@dataclass(frozen=True)
class PlannedAndActual:
    """`rows` of (what, planned, since then)."""

    kept_at: datetime
    kept_by: str
    rows: tuple[tuple[str, str, str], ...]


@transaction.atomic
def label_plan_keep(
    *,
    line_id: UUID,
    effect: float,
    design: LabellingDesign,
    forecast: AccuracyForecast,
    actor: Actor,
) -> LabelPlan:
    """From now on the line's labelling is held against this plan; earlier ones stay in the audit log."""
    expected = forecast.expected
    plan = LabelPlan.objects.create(
        line=line_id,
        kept_by=actor_key(actor),
        effect=effect,
        training_labels=design.training_labels,
        gate_labels=design.gate_labels,
        days=design.days,
        cost=design.cost or None,
        accuracy=expected.estimate if expected else None,
        accuracy_low=expected.low if expected else None,
        accuracy_high=expected.high if expected else None,
    )
    said = {
        "training labels": plan.training_labels,
        "gate labels": plan.gate_labels,
        "days": plan.days,
    }
    audit_record(
        actor=actor_key(actor), verb="label_plan_keep", target=str(plan), line=line_id, detail=said
    )  # fmt: skip
    return plan


def planned_and_actual(line_id: UUID) -> PlannedAndActual | None:
    """The newest plan of a line beside what was labelled, spent and decided since; None where none was kept."""
    plan = LabelPlan.objects.filter(line=line_id).order_by("-kept_at").first()
    if plan is None:
        return None
    since = plan.kept_at
    decision = _decision(plan)
    labels = annotation.labels_since(line_id=line_id, since=since)
    training = annotation.fresh_label_count(line_id=line_id, since=since)
    cost = annotation.labelling_cost(line_id=line_id, since=timezone.localtime(since).date())
    until = decision.decided_at if decision else timezone.now()
    days = f"{(until - since).total_seconds() / 86_400:,.1f}"
    rows = (
        ("Labels in all", f"{plan.training_labels + plan.gate_labels:,}", f"{labels:,}"),
        ("Labels for training", f"{plan.training_labels:,}", f"{training:,}"),
        ("Labels for the gate", f"{plan.gate_labels:,}", _gate(decision)),
        ("Days until it decides", f"{plan.days:,}", days if decision else f"{days} so far"),
        ("Cost", "not planned" if plan.cost is None else f"{plan.cost:,.2f}",
         "no prices in the campaigns' settings" if cost is None else f"{cost:,.2f}"),
        ("Win rate", f"{plan.effect:.0%} to be shown", _win_rate(decision)),
        ("Accuracy of the reward model", _planned_accuracy(plan), _accuracy(plan)),
    )  # fmt: skip
    return PlannedAndActual(since, actor_name(plan.kept_by), rows)


def _decision(plan: LabelPlan) -> Decision | None:
    """The first one on labels since the plan was kept."""
    rows = Decision.objects.filter(line=plan.line, tested=True, decided_at__gte=plan.kept_at)
    return rows.exclude(verdict="INCONCLUSIVE").order_by("decided_at").first()


def _gate(decision: Decision | None) -> str:
    said = decision.evidence.labels if decision else None
    if decision is None or said is None:
        return "not decided yet"
    return f"{said.labels:,}, {decision.verdict} in round {decision.number}"


def _win_rate(decision: Decision | None) -> str:
    labels = decision.evidence.labels if decision else None
    return _share(labels.win_rate) if labels and labels.win_rate else "not decided yet"


def _planned_accuracy(plan: LabelPlan) -> str:
    if plan.accuracy is None or plan.accuracy_low is None or plan.accuracy_high is None:
        return "not known"
    return f"{plan.accuracy:.0%} ({plan.accuracy_low:.0%} to {plan.accuracy_high:.0%})"


def _accuracy(plan: LabelPlan) -> str:
    found = reward_models_measured(plan.line, newest=1)
    if not found or found[0].reported_at < plan.kept_at:
        return "no round reported since"
    newest = found[0]
    return f"{_share(newest.accuracy)}, {newest.labels:,} labels in round {newest.number}"


def _share(share: Interval) -> str:
    return f"{share.estimate:.0%} ({share.low:.0%} to {share.high:.0%})"
