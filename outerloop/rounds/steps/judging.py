"""The steps that judge: policy evaluation, the wait for labels and for approval."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from uuid import UUID

from django.db.models import F

from annotation import facade as annotation
from annotation.contracts import NewPair
from evaluation import facade as evaluation
from evaluation.contracts import EvaluatePolicyConfig, PolicyMeasurements
from outerloop.rounds.models import State
from outerloop.rounds.runs import judged_round, step_run_record
from outerloop.rounds.steps.context import (
    Move,
    StepContext,
    StepFailed,
    Wait,
    completion_new,
    gate_prompts_file,
    start_version,
    step_file,
    step_run,
    version_input,
)
from outerloop.rounds.suites import suites_attached
from training import facade as training
from training.contracts import InputRef
from web.clock import database_now

SAME_AT_FIRST, MOST_SAME = 0.5, 0.75
SPARE = 1.1


def evaluate_policy(context: StepContext) -> Move:
    """Sample candidate and incumbent on evaluation prompts, and more where a check wants more."""
    inputs = _evaluation_inputs(context)
    minutes = context.plan.time_limits.evaluation
    run = step_run(
        context,
        kind="evaluate_policy",
        config=context.plan.evaluate_policy,
        inputs=inputs,
        minutes=minutes,
    )
    while (more := _more_samples(context, run)) is not None:
        run = step_run(
            context, kind="evaluate_policy", config=more, inputs=inputs, minutes=minutes, anew=True
        )
    sides = (inputs["candidate"], inputs["incumbent"])
    return Move(
        to=State.AWAITING_LABELS,
        read=tuple(
            f"{name} {side.sha256}"
            for name, side in zip(("candidate", "incumbent"), sides, strict=True)
        ),
        wrote=tuple(f"{a['name']} {a['sha256']}" for a in run.artifacts),
        note=_gains_note(evaluation.measurements_read(run, PolicyMeasurements))
        + _samples_note(context, run),
        fields={"waiting_since": database_now()},
    )


def prompts_sampled(context: StepContext) -> int:
    """Enough that, of those on which the two policies differ, there is one for each label that the gate
    may ask for: labels / (1 - share of equal texts), and a tenth more.

    That share is the one that the line's last decided round found, between 0 and `MOST_SAME`; a line
    without one is taken to have `SAME_AT_FIRST`. Each prompt costs a completion of candidate, incumbent
    and reference, and their scores.
    """
    labels = _budget(context).labels
    share = min(_same_text_share(context), MOST_SAME)
    return max(context.plan.evaluation_prompts, ceil(SPARE * labels / (1 - share)))


def _same_text_share(context: StepContext) -> float:
    """On which share of its prompts the candidate of the last decided round wrote what its incumbent did."""
    others = context.line.rounds.filter(number__lt=context.round.number).exclude(verdict="")
    for earlier in others.exclude(candidate=F("incumbent")).order_by("-number"):
        evidence = evaluation.decided_on(earlier.id)
        if evidence is not None and evidence.policy is not None:
            return evidence.identical_pairs / evidence.policy.prompts
    return SAME_AT_FIRST


def _budget(context: StepContext) -> evaluation.LabelBudget:
    return evaluation.label_budget(context.line.id, as_of=context.round.created_at)


def _evaluation_inputs(context: StepContext) -> dict[str, InputRef]:
    round_, reference = context.round, start_version(context, context.plan.reference)
    return {
        "candidate": version_input(round_.candidate, "candidate"),
        "incumbent": version_input(round_.incumbent, "incumbent"),
        "reference": version_input(reference, "reference policy"),
        "reward_model": version_input(round_.reward_model, "reward model"),
        "held_out_reward_model": version_input(
            round_.held_out_reward_model, "held-out reward model"
        ),
        "prompts": gate_prompts_file(
            context, "evaluation-prompts.jsonl", limit=prompts_sampled(context)
        ),
        **_suite_inputs(context),
    }


def _more_samples(context: StepContext, run: training.RunRecord) -> EvaluatePolicyConfig | None:
    """The settings of an evaluation with twice the samples; None where no check wants it.

    What was drawn is read from the run, so that an attempt after a kill goes on from there. A gate that
    fails already wants nothing, and people are asked for labels only once the samples suffice.
    """
    config = EvaluatePolicyConfig.from_json(run.spec["config"])
    if config.samples_per_prompt >= config.samples_limit:
        return None
    judged = judged_round(context.round)
    if "samples" not in evaluation.round_verdict(judged).wants:
        return None
    samples = min(2 * config.samples_per_prompt, config.samples_limit)
    return replace(config, samples_per_prompt=samples)


def _samples_note(context: StepContext, run: training.RunRecord) -> str:
    drawn = EvaluatePolicyConfig.from_json(run.spec["config"]).samples_per_prompt
    planned = context.plan.evaluate_policy.samples_per_prompt
    if drawn == planned:
        return ""
    return f" {drawn} samples a prompt in place of {planned}: with fewer a check could not be told."


def _suite_inputs(context: StepContext) -> dict[str, InputRef]:
    """The suites that were attached when the round started, "suite_1" and on."""
    suites = suites_attached(context.line, as_of=context.round.created_at)
    return {
        f"suite_{n}": step_file(context, f"suite-{n}.json", [json.loads(suite.content)])
        for n, suite in enumerate(suites, start=1)
    }


def _gains_note(measured: PolicyMeasurements) -> str:
    return (
        f"Gain in z: train {measured.train_gain.estimate:+.2f}, held-out"
        f" {measured.held_out_gain.estimate:+.2f}; KL {measured.kl['reference'].estimate:.1f} nats;"
        f" {measured.prompts} prompts."
    )


def await_labels(context: StepContext) -> Move | Wait:
    """Decide as labels come. A candidate that a guardrail refuses costs nobody a label."""
    judged = judged_round(context.round)
    decided = evaluation.round_decide(judged)
    if decided.labels_wanted and _gate_pairs_offer(context):
        decided = evaluation.round_decide(judged)
    if decided.labels_wanted:
        return Wait(_waiting_note(context))
    annotation.gate_queue_close(round_id=context.round.id)
    verdict = decided.verdict
    waits = verdict == "PROMOTE" and not context.round.deploys_by_itself
    return Move(
        State.AWAITING_APPROVAL if waits else State.DECIDED,
        wrote=(f"decision {decided.evidence_sha256}",),
        note=verdict,
        fields={"verdict": verdict, "summary": " ".join(decided.reasons)[:500]},
    )


def _waiting_note(context: StepContext) -> str:
    status = annotation.gate_queue_status(round_id=context.round.id)
    shares = annotation.gate_shares(round_id=context.round.id)
    said = [f"{status.open + status.leased} pairs of candidate and incumbent wait for labels."]
    if shares.spent:
        has = f"{shares.spent} annotator{' has' if shares.spent == 1 else 's have'}"
        said.append(f"{has} compared a full share of {shares.most_per_rater}; others are needed.")
    if shares.skipped:
        said.append(f"Skipped so far: {shares.skipped}.")
    return " ".join(said)


def await_approval(context: StepContext) -> Move | Wait:
    """A lead lets the promotion through, or holds it back; past the maximum age it is held back."""
    approval = evaluation.approval_get(context.round.id)
    if approval is not None:
        word = "approved" if approval.approved else "held back"
        return Move(State.DECIDED, note=f"A lead {word} the promotion.")
    if evaluation.round_expired(judged_round(context.round)):
        return Move(State.DECIDED, note="No lead approved within the maximum age; held back.")
    return Wait("A lead reads the report and approves, or holds back.")


def decide(context: StepContext) -> Move:
    """Carry the verdict out: deploy what was promoted and let through, else keep the incumbent."""
    round_ = context.round
    for version in (round_.reward_model, round_.held_out_reward_model):
        if version is not None:
            training.model_version_retain(
                version_id=version, reason=f"the decision of round {round_.number} refers to it"
            )
    if _may_deploy(context):
        return Move(State.DEPLOYING, note="The candidate is let through.")
    return Move(State.SAMPLING_PAIRS, note="The incumbent stays deployed.")


def _may_deploy(context: StepContext) -> bool:
    round_ = context.round
    if round_.verdict != "PROMOTE" or round_.candidate in (None, round_.incumbent):
        return False
    if round_.deploys_by_itself:
        return True
    approval = evaluation.approval_get(round_.id)
    return approval is not None and approval.approved


def _gate_pairs_offer(context: StepContext) -> bool:
    """Put the candidate-versus-incumbent pairs in the ordinary queue; False where they are in it."""
    status = annotation.gate_queue_status(round_id=context.round.id)
    if status.open + status.leased + status.done:
        return False
    pairs = list(_gate_pairs(context))
    asked = sum(_differs(pair) for pair in pairs)
    annotation.comparisons_create(
        line_id=context.line.id,
        purpose="gate",
        pairs=pairs,
        round_id=context.round.id,
        most_per_rater=_budget(context).most_per_rater(asked),
    )
    return True


def _differs(pair: NewPair) -> bool:
    first, second = pair.completions
    return first.text != second.text


def _gate_pairs(context: StepContext) -> Iterator[NewPair]:
    """The sampled pairs in their drawn order, up to the last that the gate's labels can reach: so many
    that differ, and those of two equal texts in between, which ask nobody."""
    left = _budget(context).labels
    for pair in _sampled_pairs(context):
        left -= _differs(pair)
        yield pair
        if left == 0:
            return


def _sampled_pairs(context: StepContext) -> Iterator[NewPair]:
    run = step_run_record(context.round, State.POLICY_EVALUATION)
    if run is None or context.round.candidate is None:
        raise StepFailed("The policy evaluation left no samples to compare.")
    candidate = training.model_version_get(context.round.candidate)
    incumbent = training.model_version_get(context.round.incumbent)
    sampling = context.plan.evaluate_policy.sampling.to_json()
    for row in evaluation.samples_read(run):
        if row["sample"] > 0:  # one label per prompt: further samples only measure diversity
            continue
        sides = (
            completion_new(row["candidate"], candidate, sampling),
            completion_new(row["incumbent"], incumbent, sampling),
        )
        yield NewPair(
            prompt_id=UUID(row["prompt_id"]),
            completions=sides,
            strategy="gate",
            probability=1.0,
        )
