"""The steps that learn: snapshot, reward model, policy."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from annotation.contracts import SnapshotRecipe
from evaluation import facade as evaluation
from evaluation.contracts import RewardModelMeasurements
from evaluation.formatting import share
from outerloop.rounds.claims import step_heartbeat
from outerloop.rounds.dry_run import NONE_AGAIN
from outerloop.rounds.models import Round, State
from outerloop.rounds.signal_opinion import opinion_take
from outerloop.rounds.steps.context import (
    Move,
    StepContext,
    StepFailed,
    prompts_file,
    start_version,
    step_run,
    suite_inputs,
    version_input,
)
from outerloop.rounds.suites import suites_of_reward_models
from training import facade as training
from training.contracts import InputRef


def take_snapshot(context: StepContext) -> Move:
    """Freeze every preference so far. The same labels give the same snapshot, by hash."""
    plan = context.plan.snapshot
    recipe = SnapshotRecipe(
        campaigns=plan.campaigns,
        weights=plan.weights,
        recency_half_life_days=plan.recency_half_life_days,
        until=_moment(context.round.created_at),
        writers=_weighed(context),
        criteria=bool(context.plan.reward_model.criteria),
    )
    try:
        snapshot = training.snapshot_take(line_id=context.line.id, recipe=recipe)
    except training.EmptySnapshot as error:
        raise StepFailed(str(error)) from error
    # An A/A round trains nothing new: it asks whether the gate passes a policy against itself.
    return Move(
        to=State.REWARD_TRAINING,
        wrote=(f"snapshot {snapshot.sha256}",),
        note=_snapshot_note(snapshot),
        fields={"snapshot": snapshot.id},
    )


def _snapshot_note(snapshot: training.SnapshotRecord) -> str:
    released = snapshot.counts.get("released", 0)
    tail = f", {released} of them labels of earlier gates" if released else ""
    return f"{snapshot.rows} preferences{tail}"


def train_reward_model(context: StepContext) -> Move:
    snapshot = _snapshot(context.round)
    backbone = version_input(context.line.base_version, "base policy")
    inputs = {"preferences": training.input_from_snapshot(snapshot), "policy": backbone}
    run = step_run(
        context,
        kind="reward_model",
        config=context.plan.reward_model,
        inputs=inputs | (_writers(context, snapshot) if _weighed(context) else {}),
        minutes=context.plan.time_limits.reward_training,
    )
    reward = training.model_version_register(run_id=run.id, artifact="reward_model")
    held_out = training.model_version_register(run_id=run.id, artifact="held_out_reward_model")
    return Move(
        to=State.REWARD_EVALUATION,
        read=(f"snapshot {snapshot.sha256}", f"base policy {backbone.sha256}"),
        wrote=(f"{reward.name} {reward.sha256}", f"{held_out.name} {held_out.sha256}"),
        note=f"{reward.name} ({context.plan.reward_model.members} members) and its held-out guard",
        fields={"reward_model": reward.id, "held_out_reward_model": held_out.id},
    )


def _weighed(context: StepContext) -> bool:
    """Whether pairs are weighed by who wrote them."""
    return context.plan.reward_model.off_policy.correction != "none"


def _writers(context: StepContext, snapshot: training.SnapshotRecord) -> dict[str, InputRef]:
    """The deployed policy, and those that wrote completions of the snapshot and are still there."""
    inputs = {"current_policy": version_input(context.round.incumbent, "deployed policy")}
    wrote = [UUID(version) for version in snapshot.counts.get("writers", {})]
    for version in training.policies_present(wrote):
        step_heartbeat(context.step)  # each of them is read for its hash
        inputs[f"writer_{version.id}"] = version_input(version.id, version.name)
    return inputs


def evaluate_reward_model(context: StepContext) -> Move:
    """Measure the reward model; one that is not better than chance ends the round before the
    policy learns."""
    snapshot = _snapshot(context.round)
    reward = version_input(context.round.reward_model, "reward model")
    run = step_run(
        context,
        kind="evaluate_reward_model",
        config=context.plan.evaluate_reward_model,
        inputs={
            "reward_model": reward,
            "held_out_reward_model": version_input(
                context.round.held_out_reward_model, "held-out reward model"
            ),
            "preferences": training.input_from_snapshot(snapshot),
            **_suite_inputs(context),
        },
        minutes=context.plan.time_limits.evaluation,
    )
    measured = evaluation.measurements_read(run, RewardModelMeasurements)
    opinion_take(context)
    read = (f"reward model {reward.sha256}", f"snapshot {snapshot.sha256}")
    wrote = (f"measurements {training.input_from_run(run, 'measurements').sha256}",)
    problem = _reward_problem(measured, context.plan.minimum_reward_accuracy)
    if problem:
        refused = {"verdict": "REJECT", "summary": problem[:500]}
        return Move(State.DECIDED, read, wrote, note=problem, fields=refused)
    if context.plan.candidate != "trained":
        known = {"candidate": _known_candidate(context)}
        return Move(
            State.POLICY_EVALUATION, read, wrote, note=_accuracy_note(measured), fields=known
        )
    return Move(State.POLICY_TRAINING, read, wrote, note=_accuracy_note(measured))


def _known_candidate(context: StepContext) -> UUID:
    """The policy that is judged where none is trained: the incumbent itself, or the last candidate."""
    if context.plan.candidate == "incumbent":
        return context.round.incumbent
    found = evaluation.candidate_unresolved(context.line.id)
    if found is None:
        raise StepFailed(NONE_AGAIN)
    return found


def _suite_inputs(context: StepContext) -> dict[str, InputRef]:
    """The suites for reward models that were attached when the round started, "suite_1" and on."""
    suites = suites_of_reward_models(context.line, as_of=context.round.created_at)
    return suite_inputs(context, suites, "reward-suite")


def _accuracy_note(measured: RewardModelMeasurements) -> str:
    split = measured.split("test", "validation")
    if split is None:
        return ""
    return (
        f"Agrees with {share(split.accuracy)} of the labels on {split.pairs:,} held-out pairs;"
        f" always choosing by length, with {share(split.length_baseline)}."
    )


def _reward_problem(measured: RewardModelMeasurements, minimum: float) -> str:
    split = measured.split("test", "validation")
    if split is None:
        return (
            "The reward model could not be checked: no preference lies on a test or validation"
            " prompt. Label more prompts."
        )
    accuracy = split.accuracy
    if accuracy.low > minimum:
        return ""
    # One digit more than elsewhere: 49.8% does not lie above 50%.
    return (
        f"The reward model agrees with {share(accuracy, digits=1)} of the labels on"
        f" {split.pairs:,} held-out pairs; the lower bound must lie above {minimum:.0%}. The round"
        " stops before the policy is trained: collect more labels, or look at their quality."
    )


def train_policy(context: StepContext) -> Move:
    """Make a candidate by the plan's optimiser; the held-out model watches and is never optimised."""
    inputs = _training_inputs(context)
    run = step_run(
        context,
        kind=context.plan.optimizer,
        config=context.plan.policy_training,
        inputs=inputs,
        minutes=context.plan.time_limits.policy_training,
    )
    candidate = training.model_version_register(
        run_id=run.id,
        artifact="policy",
        parent_id=start_version(context, context.plan.init),
        meta={"round": context.round.number, "optimizer": context.plan.optimizer},
    )
    unit = "updates" if context.plan.optimizer == "ppo" else "steps"
    return Move(
        to=State.POLICY_EVALUATION,
        read=tuple(
            f"{name.replace('_', ' ')} {ref.sha256}"
            for name, ref in inputs.items()
            if name != "held_out_reward_model"
        ),
        wrote=(f"{candidate.name} {candidate.sha256}",),
        note=f"{candidate.name}: {run.results['updates']} {unit},"
        f" {training.ending_words(run.results['stopped_by'])}",
        fields={"candidate": candidate.id},
    )


def _training_inputs(context: StepContext) -> dict[str, InputRef]:
    """What every optimiser reads, and what the chosen one reads besides."""
    plan, round_ = context.plan, context.round
    inputs = {
        "policy": version_input(start_version(context, plan.init), "initial policy"),
        "reference": version_input(start_version(context, plan.reference), "reference policy"),
        "reward_model": version_input(round_.reward_model, "reward model"),
        "held_out_reward_model": version_input(
            round_.held_out_reward_model, "held-out reward model"
        ),
        "prompts": prompts_file(context, "training-prompts.jsonl", splits=("train",), limit=None),
    }
    if plan.optimizer == "dpo":
        inputs["preferences"] = training.input_from_snapshot(_snapshot(round_))
    if plan.optimizer == "ppo" and plan.policy.ptx_coefficient > 0:
        inputs["demonstrations"] = _demonstrations(context)
    return inputs


def _demonstrations(context: StepContext) -> InputRef:
    """What the base policy was taught last, for PPO-ptx."""
    base = training.model_version_get(start_version(context, "base"))
    run = training.run_get(base.run_id) if base.run_id else None
    if run is None or run.kind != "sft":
        raise StepFailed(
            "policy.ptx_coefficient mixes in the demonstrations of the base policy, but"
            f" {base.name} was not fine-tuned here: set policy.ptx_coefficient to 0."
        )
    phase = run.spec["config"]["phases"][-1]
    return training.input_of_run(run, phase["data"])


def _snapshot(round_: Round) -> training.SnapshotRecord:
    if round_.snapshot is None:
        raise StepFailed("The round has no snapshot; its first step should have taken it.")
    return training.snapshot_get(round_.snapshot)


def _moment(at: datetime) -> str:
    return at.astimezone(timezone.get_default_timezone()).isoformat()
