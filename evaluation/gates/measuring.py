"""Measuring a round: what its programs left, what people said, and whether both can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from annotation import facade as annotation
from annotation.contracts import GateLabel
from evaluation.contracts import (
    GateMeasurements,
    IntegrityFact,
    Interval,
    JudgedPromptWear,
    JudgeMeasurements,
    PolicyMeasurements,
    RewardModelMeasurements,
)
from evaluation.gates.checkpoints import kl_optimum, run_mismatch
from evaluation.gates.labelled import labels_join
from evaluation.gates.models import GateTest
from evaluation.gates.outcomes import human_ceiling, outcomes_from_labels
from evaluation.gates.policies import gate_policy_current
from evaluation.gates.quality import gold_question_accuracy
from evaluation.gates.readings import (
    PairTexts,
    groups_shared,
    measurements_read,
    pair_texts,
    train_scores,
)
from evaluation.gates.records import JudgedRound
from evaluation.gates.second_budgets import evidence_so_far
from evaluation.judges.measuring import PersonSaid, judge_measured
from training import facade as training
from web.clock import database_now


def round_measure(judged: JudgedRound, test: GateTest) -> GateMeasurements:
    """Everything that the checks read, as of now; LookupError while the policy evaluation is missing."""
    if judged.policy_run is None or judged.candidate is None:
        raise LookupError("The round has no policy evaluation to decide on.")
    settings = test.gate_settings
    so_far = evidence_so_far(test)
    sides = {"candidate": judged.candidate, "incumbent": judged.incumbent}
    labels = annotation.gate_labels(round_id=judged.round_id)
    scores, texts = train_scores(judged.policy_run), pair_texts(judged.policy_run)
    measured = GateMeasurements(
        candidate_sha256=training.model_version_get(judged.candidate).sha256,
        incumbent_sha256=training.model_version_get(judged.incumbent).sha256,
        integrity=(
            _hashes_fact(judged.candidate, judged.incumbent, *judged.reward_models),
            _split_fact(judged.snapshot, judged.policy_run),
        ),
        gold_question_accuracy=gold_question_accuracy(
            annotation.label_summary(line_id=judged.line_id)
        ),
        policy=measurements_read(judged.policy_run, PolicyMeasurements),
        reward_model=(
            measurements_read(judged.reward_run, RewardModelMeasurements)
            if judged.reward_run is not None
            else None
        ),
        human_ceiling=human_ceiling(annotation.overlap_votes(line_id=judged.line_id)),
        kl_optimum=kl_optimum(judged),
        mismatch=run_mismatch(judged.candidate),
        test_number=test.test_number,
        discoveries=test.discoveries,
        error_spent=test.error_spent,
        identical_pairs=texts.identical,
        wear=_wear(judged, labels),
    )
    joined = labels_join(
        measured,
        labels,
        **sides,
        scores=scores,
        settings=settings,
        aim=so_far.aim,
        labels_left=_labels_left(judged, texts, budget=settings.max_labels - len(labels)),
        expired=_is_past(judged, settings.max_age_hours),
        predictions=so_far.predictions,
        earlier=so_far.earlier,
    )
    return replace(joined, judge=_judge(judged, labels, ceiling=measured.human_ceiling, **sides))


def _judge(
    judged: JudgedRound,
    labels: Sequence[GateLabel],
    *,
    candidate: UUID,
    incumbent: UUID,
    ceiling: Interval | None,
) -> JudgeMeasurements | None:
    """What the round's LLM judge said, beside what people said of the same prompts."""
    outcomes = outcomes_from_labels(labels, candidate=candidate, incumbent=incumbent)
    people = {each.prompt_id: PersonSaid(each.rater, each.value) for each in outcomes}
    return judge_measured(judged.round_id, people, ceiling=ceiling)


def round_expired(judged: JudgedRound) -> bool:
    """Whether the round has waited longer than the gate policy that it started under allows."""
    policy = gate_policy_current(judged.line_id, as_of=judged.started_at)
    return _is_past(judged, policy.gate_settings.max_age_hours)


def _is_past(judged: JudgedRound, hours: float) -> bool:
    return database_now() - judged.waiting_since > timedelta(hours=hours)


def _labels_left(judged: JudgedRound, texts: PairTexts, *, budget: int) -> int:
    """What the budget and the offered pairs still allow; before the offer, what is to be offered."""
    status = annotation.gate_queue_status(round_id=judged.round_id)
    offered = status.open + status.leased + status.done
    return max(0, min(budget, status.open + status.leased if offered else texts.differing))


def _wear(judged: JudgedRound, labels: Sequence[GateLabel]) -> JudgedPromptWear | None:
    """None before the first label."""
    if not labels:
        return None
    prompts = {label.prompt_id for label in labels}
    found = annotation.prompt_wear(line_id=judged.line_id, round_id=judged.round_id, asked=prompts)
    return JudgedPromptWear(len(prompts), found.seen_before, found.fresh)


def _hashes_fact(*versions: UUID) -> IntegrityFact:
    """Every artifact is what its hash says."""
    for version in versions:
        try:
            training.model_version_verify(version)
        except training.ArtifactMismatch as error:
            return IntegrityFact("artifact_hashes", False, str(error))
    return IntegrityFact("artifact_hashes", True)


def _split_fact(snapshot: UUID | None, policy_run: training.RunRecord) -> IntegrityFact:
    """No prompt group is both learned from and judged on."""
    if snapshot is None:
        return IntegrityFact("prompt_split", False, "the round has no snapshot")
    shared = groups_shared(training.snapshot_get(snapshot), policy_run)
    detail = f"{len(shared)} prompt groups are both learned from and judged on" if shared else ""
    return IntegrityFact("prompt_split", not shared, detail)
