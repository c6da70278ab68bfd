"""A line's gate tests: opened before the first label, settled when the round is decided, or given up
and the next one asks what it cost."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from annotation import facade as annotation
from evaluation.contracts import GatePolicySettings
from evaluation.gates.models import GatePredictions, GateTest
from evaluation.gates.outcomes import label_evidence
from evaluation.gates.predicting import predictions_of
from evaluation.gates.readings import held_out_gaps, pair_texts
from evaluation.gates.records import JudgedRound
from evaluation.gates.second_budgets import evidence_so_far, outcomes_so_far, same_hypothesis
from evaluation.gates.selectors import error_control, gate_test, pair_predictions
from evaluation.policy import error_cost, error_level
from evaluation.statistics.betting import level_left
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
    row, _ = GateTest.objects.get_or_create(
        round=judged.round_id,
        defaults={
            "line": judged.line_id,
            "number": judged.number,
            "candidate": judged.candidate,
            "incumbent": judged.incumbent,
            "settings": settings.to_json(),
            **_place(judged, settings),
        },
    )
    return row


def _place(judged: JudgedRound, settings: GatePolicySettings) -> dict[str, Any]:
    """The test's place in the line's error control: a new one, or that of the test that goes on.

    A test goes on where the line's last one that had labels was of the same candidate, incumbent and
    hypothesis, and was no discovery. Since none came between, what it staked is still at stake.
    """
    last = (
        GateTest.objects.filter(line=judged.line_id, number__lt=judged.number, labelled__gt=0)
        .order_by("-number")
        .first()
    )
    if last is not None and last.e_value is not None and _goes_on(last, judged, settings):
        return {
            "test_number": last.test_number,
            "discoveries": last.discoveries,
            "error_spent": last.error_spent,
            "level": last.level,
            "labels": _labels_aimed(judged, settings, level_left(last.level, last.e_value)),
            "continues": last.round,
        }
    control = error_control(judged.line_id, before=judged.number)
    level = error_level(control.spent, control.discoveries, settings.alpha)
    return {
        "test_number": control.tests + 1,
        "discoveries": control.discoveries,
        "error_spent": control.spent,
        "level": level,
        "labels": _labels_aimed(judged, settings, level),
    }


def _goes_on(last: GateTest, judged: JudgedRound, settings: GatePolicySettings) -> bool:
    same = (last.candidate, last.incumbent) == (judged.candidate, judged.incumbent)
    apart = last.candidate != last.incumbent
    return same and apart and not last.discovered and same_hypothesis(last.gate_settings, settings)


def pair_predictions_keep(judged: JudgedRound, test: GateTest) -> None:
    """Write down what is predicted of the pairs, once they are offered and as long as nothing is known of them.

    The pairs behind the last that people are asked about are the reference, if no earlier gate has shown
    any of all these prompts: then the order was drawn, and who stands behind is chance.
    """
    settings = test.gate_settings
    if settings.predictions == "none" or judged.policy_run is None:
        return
    if pair_predictions(judged.round_id) is not None:
        return
    status = annotation.gate_queue_status(round_id=judged.round_id)
    if not status.open + status.leased + status.done:
        return
    gaps = held_out_gaps(judged.policy_run)
    prompts = {UUID(pair.prompt_id) for pair in gaps}
    wear = annotation.prompt_wear(line_id=judged.line_id, round_id=judged.round_id, asked=prompts)
    found = predictions_of(gaps, labels=settings.max_labels)
    GatePredictions.objects.get_or_create(
        round=judged.round_id,
        defaults={
            "pairs": dict(found.pairs),
            "reference": [] if wear.seen_before else list(found.reference),
        },
    )


def ended_tests_settle(line_id: UUID, *, before: int) -> None:
    """Fill in what the ended tests of a line came to, decided or not."""
    ended = GateTest.objects.filter(line=line_id, number__lt=before, cost__isnull=True)
    for row in ended.select_for_update().order_by("number"):
        _settle(row)


def _settle(row: GateTest) -> None:
    so_far = evidence_so_far(row)
    outcomes = outcomes_so_far(row, so_far)
    evidence = label_evidence(
        outcomes,
        settings=row.gate_settings,
        aim=so_far.aim,
        predictions=so_far.predictions,
    )
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
