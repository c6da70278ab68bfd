"""Which runs and versions belong to a round: all that the gate has to be told of it."""

from __future__ import annotations

from evaluation.facade import JudgedRound
from training import facade as training
from web.records import record_of

from .models import Round, RoundStep, State
from .selectors import last_used_moment


def judged_round(round_: Round) -> JudgedRound:
    reward_models = (round_.reward_model, round_.held_out_reward_model)
    return record_of(
        JudgedRound,
        round_,
        round_id=round_.id,
        reward_models=tuple(version for version in reward_models if version is not None),
        policy_run=step_run_record(round_, State.POLICY_EVALUATION),
        reward_run=step_run_record(round_, State.REWARD_EVALUATION),
        started_at=round_.created_at,
        waiting_since=round_.waiting_since or round_.created_at,
        fresh_since=last_used_moment(round_.line, before=round_),
    )


def step_run_record(round_: Round, state: State) -> training.RunRecord | None:
    """The finished run of a round's step, or None while there is none."""
    step = RoundStep.objects.filter(round=round_, name=state, run__isnull=False).first()
    if step is None or step.run is None:
        return None
    run = training.run_get(step.run)
    return run if run.state == "succeeded" else None
