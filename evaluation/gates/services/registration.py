"""A line's gate tests: opened before the first label, settled when the round is decided, or given up
and the next one asks what it cost."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from annotation import facade as annotation
from evaluation.contracts import GatePolicySettings
from evaluation.gates.models import GateTest
from evaluation.gates.outcomes import label_evidence, outcomes_from_labels
from evaluation.gates.readings import pair_texts
from evaluation.gates.records import JudgedRound
from evaluation.gates.selectors import error_control, gate_test
from evaluation.policy import error_cost, error_level
from evaluation.statistics.planning import labels_for_power


@transaction.atomic
def gate_test_open(judged: JudgedRound, settings: GatePolicySettings) -> GateTest:
    """The round's test, made on first asking; the line's earlier tests are settled before.

    Nothing about it depends on labels of this round, so that it may be looked at as they come.
    """
    known = gate_test(judged.round_id)
    if known is not None:
        return known
    assert judged.candidate is not None  # it is compared
    ended_tests_settle(judged.line_id, before=judged.number)
    control = error_control(judged.line_id, before=judged.number)
    level = error_level(control.spent, control.discoveries, settings.alpha)
    row, _ = GateTest.objects.get_or_create(
        round=judged.round_id,
        defaults={
            "line": judged.line_id,
            "number": judged.number,
            "candidate": judged.candidate,
            "incumbent": judged.incumbent,
            "settings": settings.to_json(),
            "test_number": control.tests + 1,
            "discoveries": control.discoveries,
            "error_spent": control.spent,
            "level": level,
            "labels": _labels_aimed(judged, settings, level),
        },
    )
    return row


def ended_tests_settle(line_id: UUID, *, before: int) -> None:
    """Fill in what the ended tests of a line came to, decided or not."""
    ended = GateTest.objects.filter(line=line_id, number__lt=before, cost__isnull=True)
    for row in ended.select_for_update().order_by("number"):
        _settle(row)


def _settle(row: GateTest) -> None:
    labels = annotation.gate_labels(round_id=row.round)
    outcomes = outcomes_from_labels(labels, candidate=row.candidate, incumbent=row.incumbent)
    evidence = label_evidence(outcomes, settings=row.gate_settings, aim=row.aim)
    row.labelled = len(outcomes)
    row.e_value = evidence.e_value if evidence else 1.0
    row.discovered = evidence is not None and evidence.max_e_value >= 1.0 / row.level
    row.cost = error_cost(row.level, row.e_value, discovered=row.discovered)
    row.save(update_fields=["labelled", "e_value", "discovered", "cost"])


def _labels_aimed(judged: JudgedRound, settings: GatePolicySettings, level: float) -> int:
    """The labels that the smallest effect of interest takes, or all that the round can have."""
    most = settings.max_labels
    if judged.policy_run is not None:
        most = min(most, pair_texts(judged.policy_run).differing)
    return max(1, min(most, labels_for_power(settings.smallest_effect, level=level)))
