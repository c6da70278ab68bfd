"""The steps that judge: policy evaluation, the wait for labels and for approval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID

from annotation import facade as annotation
from annotation.contracts import NewPair
from evaluation import facade as evaluation
from evaluation.contracts import EvaluatePolicyConfig, PolicyMeasurements
from outerloop.rounds.claims import step_heartbeat, step_progress
from outerloop.rounds.models import State
from outerloop.rounds.runs import judged_round, step_run_record
from outerloop.rounds.steps.asking import gate_budget, gate_labels_release, prompts_sampled
from outerloop.rounds.steps.context import (
    Move,
    StepContext,
    StepFailed,
    Wait,
    completion_new,
    gate_prompts_file,
    start_version,
    step_run,
    suite_inputs,
    version_input,
)
from outerloop.rounds.steps.past import past_inputs
from outerloop.rounds.suites import suites_of_policies
from training import facade as training
from training.contracts import InputRef
from web.clock import database_now

ASKING = "asking the LLM judge"


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
    judge = evaluation.judge_ask(judged_round(context.round), beat=_judge_beat(context))
    return Move(
        to=State.AWAITING_LABELS,
        read=tuple(
            f"{name} {side.sha256}"
            for name, side in zip(("candidate", "incumbent"), sides, strict=True)
        ),
        wrote=tuple(f"{a['name']} {a['sha256']}" for a in run.artifacts),
        note=_gains_note(evaluation.measurements_read(run, PolicyMeasurements))
        + _samples_note(context, run)
        + judge,
        fields={"waiting_since": database_now()},
    )


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
            context,
            f"evaluation-prompts-{context.plan.evaluation_prompts}.jsonl",
            limit=prompts_sampled(context),
        ),
        **_suite_inputs(context),
        **past_inputs(context),
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


def _judge_beat(context: StepContext) -> Callable[[int, int], None]:
    """Shows how far the LLM judge is, prolongs the lease, and ends the asking of a cancelled round."""

    def beat(answered: int, total: int) -> None:
        step_heartbeat(context.step)
        note = f"The LLM judge has answered {answered} of {total} questions."
        step_progress(context.step, phase=ASKING, progress=answered, total=total, note=note)

    return beat


def _samples_note(context: StepContext, run: training.RunRecord) -> str:
    drawn = EvaluatePolicyConfig.from_json(run.spec["config"]).samples_per_prompt
    planned = context.plan.evaluate_policy.samples_per_prompt
    if drawn == planned:
        return ""
    return f" {drawn} samples a prompt in place of {planned}: with fewer a check could not be told."


def _suite_inputs(context: StepContext) -> dict[str, InputRef]:
    """The suites that were attached when the round started, "suite_1" and on."""
    return suite_inputs(
        context, suites_of_policies(context.line, as_of=context.round.created_at), "suite"
    )


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
    """Carry the verdict out: deploy what was promoted and let through, else keep the incumbent; and let
    the labels that decided into training, where the line says so."""
    round_ = context.round
    released = gate_labels_release(context)
    for version in (round_.reward_model, round_.held_out_reward_model):
        if version is not None:
            training.model_version_retain(
                version_id=version, reason=f"the decision of round {round_.number} refers to it"
            )
    if _may_deploy(context):
        return Move(State.DEPLOYING, note=f"The candidate is let through.{released}")
    return Move(State.SAMPLING_PAIRS, note=f"The incumbent stays deployed.{released}")


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
        most_per_rater=gate_budget(context).most_per_rater(asked),
    )
    return True


def _differs(pair: NewPair) -> bool:
    first, second = pair.completions
    return first.text != second.text


def _gate_pairs(context: StepContext) -> Iterator[NewPair]:
    """The sampled pairs in their drawn order, up to the last that the gate's labels can reach: so many
    that differ, and those of two equal texts in between, which ask nobody."""
    left = gate_budget(context).labels
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
