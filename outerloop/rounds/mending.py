"""A failed round goes on, as it was planned or with a mended plan: what the steps left read, from the
line's plan of now.

A step that is done keeps the settings that it was done by, so that the round's plan, which its report
shows, stays true of every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace

from django.db import transaction

from annotation import facade as annotation
from training import facade as training
from web.services import audit_record

from .locking import RoundRefused, line_locked
from .models import Round, RoundStep, State
from .plan import RoundPlan, plan_checked, plan_differences
from .selectors import active_round, failed_step, last_round, line_plan

READ_BY: dict[str, State] = {
    "snapshot": State.SNAPSHOT,
    "reward_model": State.REWARD_TRAINING,
    "evaluate_reward_model": State.REWARD_EVALUATION,
    "minimum_reward_accuracy": State.REWARD_EVALUATION,
    "candidate": State.REWARD_EVALUATION,
    "optimizer": State.POLICY_TRAINING,
    "policy": State.POLICY_TRAINING,
    "dpo": State.POLICY_TRAINING,
    "best_of_n": State.POLICY_TRAINING,
    "init": State.POLICY_TRAINING,
    "reference": State.POLICY_TRAINING,
    "evaluation_prompts": State.POLICY_EVALUATION,
    "evaluate_policy": State.POLICY_EVALUATION,
    "next_pairs": State.SAMPLING_PAIRS,
    "selection": State.SAMPLING_PAIRS,
    "random_share": State.SAMPLING_PAIRS,
    "oversample": State.SAMPLING_PAIRS,
    "sampling": State.SAMPLING_PAIRS,
}
"""Field of the plan -> the first step that reads it."""
NEVER = {"seed", "minimum_fresh_labels"}
"""What a round was begun with: the one draws everything, the other let it start."""
ALWAYS = {"time_limits", "jobs"}
READ_BY_RUN: dict[State, Callable[[RoundPlan], tuple[object, ...]]] = {
    State.REWARD_TRAINING: lambda plan: (plan.reward_model,),
    State.REWARD_EVALUATION: lambda plan: (plan.evaluate_reward_model,),
    State.POLICY_TRAINING: lambda plan: (
        plan.optimizer,
        plan.policy_training,
        plan.init,
        plan.reference,
    ),
    State.POLICY_EVALUATION: lambda plan: (
        plan.evaluate_policy,
        plan.evaluation_prompts,
        plan.reference,
    ),
    State.SAMPLING_PAIRS: lambda plan: (plan.sampling, plan.next_pairs, plan.oversample),
}
"""Step -> what its learning program is ordered by. What the step reads once that has ended, such as
`minimum_reward_accuracy`, and how long it may take are not among it."""


def plan_mended(*, plan: RoundPlan, now: RoundPlan, done: Iterable[str]) -> RoundPlan:
    """`plan` with what the steps that are not `done` read taken from `now`; may raise `ContractError`."""
    finished = set(done)
    taken = {name for name, step in READ_BY.items() if step not in finished} | ALWAYS
    return plan_checked(replace(plan, **{name: getattr(now, name) for name in taken}))


def settings_left_behind(*, plan: RoundPlan, now: RoundPlan) -> list[str]:
    """The names of settings in which a mended `plan` still differs from the line's: read already."""
    ours = {field.name for field in fields(RoundPlan)} - NEVER
    changed = {path.split(".")[0] for path, _, _ in plan_differences(plan.to_json(), now.to_json())}
    return sorted(changed & ours)


@transaction.atomic
def round_take_up(*, round_: Round, actor: str, mended: bool = False) -> list[str]:
    """Let a failed or cancelled round go on where it stopped, from its last checkpoint.

    With `mended` the steps that are left read the line's plan of now; the run of the step that stopped
    goes on from its checkpoint too, unless a setting that it was ordered by has changed. Returned are the
    names of settings that steps already done keep as they were.
    """
    locked = Round.objects.select_for_update().get(pk=round_.pk)
    line_locked(locked.line_id)
    if locked.state not in (State.FAILED, State.CANCELLED):
        raise RoundRefused(
            f"{locked} is {locked.get_state_display().lower()}; only a failed or cancelled round can"
            " be taken up again."
        )
    step = failed_step(locked)
    if step is None:
        raise RoundRefused(f"{locked} has no unfinished step.")
    if active_round(locked.line) is not None:
        raise RoundRefused("Another round of this line is active; wait for its end, or cancel it.")
    if last_round(locked.line) != locked:
        raise RoundRefused("A later round exists; start a new one instead.")
    left_behind = _plan_mend(locked, step) if mended else []
    if step.run is not None:
        training.run_take_up(run_id=step.run)
    if not locked.verdict:  # what has decided asks nobody any more
        annotation.gate_queue_reopen(round_id=locked.pk)
    Round.objects.filter(pk=locked.pk).update(
        state=step.name, error="", cancel_requested_at=None, closed_at=None
    )
    audit_record(
        actor=actor,
        verb="took up round",
        target=f"{locked.line.slug}/{locked.number}",
        line=locked.line_id,
        detail={"mended": True} if mended else None,
    )
    return left_behind


def _plan_mend(round_: Round, step: RoundStep) -> list[str]:
    """Store the mended plan, and forget a run that by the new one would be another."""
    plan, now = RoundPlan.from_json(round_.plan), line_plan(round_.line)
    done = round_.steps.filter(finished_at__isnull=False).values_list("name", flat=True)
    changed = plan_mended(plan=plan, now=now, done=done)
    if changed == plan:
        raise RoundRefused(
            "The line's plan holds nothing new for the steps that are left: change it first."
        )
    Round.objects.filter(pk=round_.pk).update(plan=changed.to_json())
    ordered_by = READ_BY_RUN.get(State(step.name))
    if ordered_by is not None and ordered_by(plan) != ordered_by(changed):
        RoundStep.objects.filter(pk=step.pk).update(run=None, phase="", progress=0, total=0)
        step.run = None
    return settings_left_behind(plan=changed, now=now)
