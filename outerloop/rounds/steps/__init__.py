"""The steps of a round. Each is idempotent: it may be begun again after a kill."""

from __future__ import annotations

from collections.abc import Callable

from outerloop.rounds.models import State
from outerloop.rounds.steps.context import Move, StepContext, StepFailed, Wait
from outerloop.rounds.steps.deploying import deploy, sample_pairs
from outerloop.rounds.steps.judging import await_approval, await_labels, decide, evaluate_policy
from outerloop.rounds.steps.learning import (
    evaluate_reward_model,
    take_snapshot,
    train_policy,
    train_reward_model,
)

STEPS: dict[State, Callable[[StepContext], Move | Wait]] = {
    State.SNAPSHOT: take_snapshot,
    State.REWARD_TRAINING: train_reward_model,
    State.REWARD_EVALUATION: evaluate_reward_model,
    State.POLICY_TRAINING: train_policy,
    State.POLICY_EVALUATION: evaluate_policy,
    State.AWAITING_LABELS: await_labels,
    State.AWAITING_APPROVAL: await_approval,
    State.DECIDED: decide,
    State.DEPLOYING: deploy,
    State.SAMPLING_PAIRS: sample_pairs,
}

# Steps that start a learning program; they go to the `gpu` queue.
LEARNING = {
    State.REWARD_TRAINING,
    State.REWARD_EVALUATION,
    State.POLICY_TRAINING,
    State.POLICY_EVALUATION,
    State.SAMPLING_PAIRS,
}

__all__ = ["LEARNING", "STEPS", "Move", "StepContext", "StepFailed", "Wait"]
