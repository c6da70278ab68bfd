"""What is predicted of a gate's pairs: written down when they are offered, and the same evidence for ever."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.db import IntegrityError, transaction

from annotation import facade as annotation
from annotation.contracts import GateLabel, GateQueueStatus, PromptWear
from evaluation.contracts import GatePolicySettings, HumanLabels
from evaluation.gates.models import GatePredictions
from evaluation.gates.outcomes import human_labels, label_evidence, outcomes_from_labels
from evaluation.gates.predicting import PairGap, PairPredictions, predictions_of, preference
from evaluation.gates.records import JudgedRound
from evaluation.gates.second_budgets import evidence_so_far
from evaluation.gates.selectors import pair_predictions
from evaluation.gates.services.registration import (
    ended_tests_settle,
    gate_test_open,
    pair_predictions_keep,
)
from evaluation.policy import gate_decide
from evaluation.reports.wording import predictions_sentence
from tests.evaluation.gates.world import LineWorld, labels_from, run_left
from tests.evaluation.policy.evidence import GOOD

ON = GatePolicySettings(predictions="held_out", max_labels=60)
PAIRS, OFFERED = 240, 60


@pytest.fixture
def annotators(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the annotation room tells: nothing offered, every prompt fresh, no labels."""
    told: dict[str, Any] = {"offered": 0, "seen": 0, "labels": []}
    monkeypatch.setattr(
        annotation, "gate_queue_status", lambda **_: GateQueueStatus(told["offered"], 0, 0)
    )
    monkeypatch.setattr(
        annotation,
        "prompt_wear",
        lambda **_: PromptWear(prompts=0, fresh=0, seen_before=told["seen"]),
    )
    monkeypatch.setattr(annotation, "gate_labels", lambda **_: told["labels"])
    return told


def samples(prompts: list[UUID], gaps: list[float]) -> str:
    rows = [
        {
            "prompt_id": str(prompt),
            "sample": sample,
            "candidate": {"text": "one", "scores": {"train": 0.0, "held_out": gap}},
            "incumbent": {"text": "two", "scores": {"train": 0.0, "held_out": 0.0}},
        }
        for prompt, gap in zip(prompts, gaps, strict=True)
        for sample in (0, 1)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def drawn(world: LineWorld, artifacts: Path) -> tuple[JudgedRound, list[GateLabel]]:
    """A round whose pairs are sampled, and labels of the first that follow their predictions."""
    rng = np.random.default_rng(4)
    prompts, gaps = [uuid.uuid4() for _ in range(PAIRS)], list(rng.normal(0.2, 2.0, PAIRS))
    run = run_left(artifacts, samples=samples(prompts, gaps))
    won = [float(rng.random() < preference(gap)) for gap in gaps[:OFFERED]]
    labels = labels_from(won, candidate=world.candidate.id, incumbent=world.incumbent.id)
    named = [replace(label, prompt_id=prompts[i]) for i, label in enumerate(labels)]
    return world.judged(policy_run=run), named


def test_the_pairs_behind_those_that_people_see_are_the_reference() -> None:
    gaps = [PairGap("a", 0.0, False), PairGap("b", 5.0, True), PairGap("c", 1.0, False),
            PairGap("d", -1000.0, False), PairGap("e", 2.0, True), PairGap("f", -1.0, False)]  # fmt: skip
    found = predictions_of(gaps, labels=2)
    assert found.pairs == pytest.approx({"a": 0.5, "c": 0.7310586})
    assert found.reference == pytest.approx((0.0, 0.2689414))
    assert predictions_of(gaps, labels=9).reference == ()
    assert found.of(["c", "nowhere"]) == pytest.approx([0.7310586, float("nan")], nan_ok=True)


def test_predictions_are_written_down_once_the_pairs_are_offered(
    annotators: dict[str, Any], drawn: tuple[JudgedRound, list[GateLabel]]
) -> None:
    judged, _ = drawn
    test = gate_test_open(judged, ON)
    pair_predictions_keep(judged, test)
    assert (
        pair_predictions(judged.round_id) is None
    )  # nobody is asked yet: samples may be drawn anew
    annotators["offered"] = OFFERED
    pair_predictions_keep(judged, test)
    kept = pair_predictions(judged.round_id)
    assert kept is not None
    assert (len(kept.pairs), len(kept.reference)) == (OFFERED, PAIRS - OFFERED)
    annotators["seen"] = 5
    pair_predictions_keep(judged, test)
    assert pair_predictions(judged.round_id) == kept


def test_a_policy_that_takes_nothing_from_labels_keeps_no_predictions(
    annotators: dict[str, Any], drawn: tuple[JudgedRound, list[GateLabel]]
) -> None:
    annotators["offered"] = OFFERED
    judged, _ = drawn
    pair_predictions_keep(judged, gate_test_open(judged, GatePolicySettings()))
    assert not GatePredictions.objects.exists()


def test_prompts_that_an_earlier_gate_has_shown_give_no_reference(
    annotators: dict[str, Any], drawn: tuple[JudgedRound, list[GateLabel]]
) -> None:
    annotators |= {"offered": OFFERED, "seen": 1}
    judged, _ = drawn
    pair_predictions_keep(judged, gate_test_open(judged, ON))
    kept = pair_predictions(judged.round_id)
    assert kept is not None
    assert kept.reference == ()


def test_what_was_predicted_cannot_be_changed(
    annotators: dict[str, Any], drawn: tuple[JudgedRound, list[GateLabel]]
) -> None:
    annotators["offered"] = OFFERED
    judged, _ = drawn
    pair_predictions_keep(judged, gate_test_open(judged, ON))
    with pytest.raises(IntegrityError), transaction.atomic():
        GatePredictions.objects.update(reference=[])
    with pytest.raises(IntegrityError), transaction.atomic():
        GatePredictions.objects.all().delete()


def test_the_evidence_comes_out_the_same_from_what_was_kept(
    world: LineWorld, annotators: dict[str, Any], drawn: tuple[JudgedRound, list[GateLabel]]
) -> None:
    """Byte for byte, without the files of the run; and its test costs what that evidence says."""
    annotators["offered"] = OFFERED
    judged, labels = drawn
    test = gate_test_open(judged, ON)
    pair_predictions_keep(judged, test)
    assert judged.policy_run is not None
    first = measured(world, labels, pair_predictions(judged.round_id))
    for artifact in judged.policy_run.artifacts:
        (Path(judged.policy_run.directory) / artifact["path"]).unlink()
    again = measured(world, labels, pair_predictions(judged.round_id))
    assert json.dumps(first.to_json()) == json.dumps(again.to_json())
    assert first.control is not None
    assert first.control.coefficient > 0
    assert (
        first.control.reference == 56 * 180 // OFFERED
    )  # ten annotators: seven blocks of eight are whole
    assert first != measured(world, labels, None)
    annotators["labels"] = labels
    ended_tests_settle(world.line, before=2)
    test.refresh_from_db()
    assert test.e_value == pytest.approx(first.e_value)


def measured(
    world: LineWorld, labels: list[GateLabel], predictions: PairPredictions | None
) -> HumanLabels:
    sides = {"candidate": world.candidate.id, "incumbent": world.incumbent.id}
    outcomes = outcomes_from_labels(labels, **sides)
    test = gate_test_open(world.judged(), ON)
    settings, aim = test.gate_settings, evidence_so_far(test).aim
    told = [predictions] if predictions else []
    found = human_labels(
        outcomes,
        settings=settings,
        aim=aim,
        labels_left=0,
        expired=False,
        predictions=told,
    )
    evidence = label_evidence(outcomes, settings=settings, aim=aim, predictions=told)
    assert evidence is not None
    assert evidence.control == found.control
    return found


def test_a_report_says_how_predictions_took_part() -> None:
    empty = HumanLabels(0, 0, 0, 0, 1.0, 1.0, 1.0, 0)
    assert predictions_sentence(empty) == ""
    control = {"correlation": 0.456, "reference": 1024}
    for coefficient, saved, says in (
        (0.42, 57, "would take 57 more labels."),
        (0.42, -3, "so far it saved no label."),
        (0.0, 0, "counts nothing"),
    ):
        read = HumanLabels.from_json(
            {
                **empty.to_json(),
                "control": {**control, "coefficient": coefficient, "labels_saved": saved},
            }
        )
        sentence = predictions_sentence(read)
        assert says in sentence
        assert "correlation 0.46" in sentence
        assert "1,024 pairs that nobody was asked about" in sentence
        assert ("0.42" in sentence) == (coefficient > 0)


def test_the_gate_says_how_many_labels_an_earlier_round_gave() -> None:
    assert GOOD.labels is not None
    told = replace(GOOD, labels=replace(GOOD.labels, carried=120))
    check = gate_decide(told, GatePolicySettings()).check("G1")
    assert check is not None
    assert "120 of them from an earlier round whose test goes on" in check.measured
    plain = gate_decide(GOOD, GatePolicySettings()).check("G1")
    assert plain is not None
    assert "earlier round" not in plain.measured
