"""The page of one round: its steps as the frozen record has them, and the program that works now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from annotation import facade as annotation
from evaluation import facade as evaluation
from evaluation.contracts import StateEntry
from outerloop.rounds.forms import canary_choices
from outerloop.rounds.models import ENDS, WAITING, Round, State
from outerloop.rounds.overriding import overridable_checks
from outerloop.rounds.pages.rows import round_row
from outerloop.rounds.pages.time_left import seconds_left
from outerloop.rounds.selectors import failed_step, fresh_labels, last_round, round_steps
from training import facade as training
from web.access import ENGINEER, LEAD, roles_of


def round_context(round_: Round, user: Any) -> dict[str, Any]:
    entered = round_steps(round_)
    steps = (*_taken(round_, entered), *_steps_ahead(round_))
    run = _followed(round_, entered)
    roles = roles_of(user, round_.line_id)
    alarms = _alarms(round_)
    return {
        "line": round_.line,
        "round": round_,
        "row": round_row(round_),
        "lead": _lead(round_, roles, entered),
        "steps": [(step, alarms.get(step.run)) for step in steps],
        "run": run,
        "waiting": round_.state in WAITING,
        "seconds_left": seconds_left(round_, steps, run),
        "prompts_short": evaluation.prompts_short(round_.line_id, as_of=round_.created_at)
        if round_.active and not round_.verdict
        else "",
        "people_ahead": any(step.name in WAITING and not step.left_at for step in steps),
        "live": "2s" if round_.active else "",
        "models": _models(round_),
        "has_report": bool(round_.verdict) and evaluation.report_exists(round_.id),
        "may_cancel": round_.active
        and round_.cancel_requested_at is None
        and bool(roles & {ENGINEER, LEAD}),
        "may_judge_again": ENGINEER in roles and _unresolved(round_),
        **_after_failure(round_, roles),
        **decision_context(round_, roles),
    }


def _models(round_: Round) -> list[dict[str, Any]]:
    """What the round made and has registered, by name."""
    made = {
        "Candidate": round_.candidate,
        "Reward model": round_.reward_model,
        "Held-out reward model": round_.held_out_reward_model,
    }
    names = training.model_version_names({version for version in made.values() if version})
    return [
        {"word": word, "id": version, "name": names[version]}
        for word, version in made.items()
        if version in names
    ]


def _unresolved(round_: Round) -> bool:
    """Whether the round has ended with a candidate of which labels showed nothing either way."""
    if round_.active or round_.candidate is None or round_ != last_round(round_.line):
        return False
    return evaluation.candidate_unresolved(round_.line_id) == round_.candidate


def _after_failure(round_: Round, roles: set[str]) -> dict[str, Any]:
    """What an engineer may do with a round that stopped: its labels are still new, for another round."""
    stopped = round_.state in (State.FAILED, State.CANCELLED) and ENGINEER in roles
    if not stopped or round_ != last_round(round_.line):
        return {"may_take_up": stopped}
    return {"may_take_up": True, "may_start_anew": True, "fresh": fresh_labels(round_.line)}


def decision_context(round_: Round, roles: set[str]) -> dict[str, Any]:
    """What the decision buttons need; empty for people who decide nothing."""
    if LEAD not in roles:
        return {"may_decide": False}
    return {
        "may_decide": True,
        "decision_line": round_.line.slug,
        "decision_number": round_.number,
        "awaits_approval": round_.state == State.AWAITING_APPROVAL,
        "canary_choices": canary_choices(),
        "canary_share": round_.line.canary_share,
        "signals_on": annotation.signals_on(round_.line_id),
        "overridable": overridable_checks(round_) if round_.verdict != "PROMOTE" else [],
        "overrides": evaluation.overrides(round_.id),
    }


def _lead(round_: Round, roles: set[str], steps: tuple[StateEntry, ...]) -> str:
    """One sentence in words: it is read aloud when it changes, so that nothing in it ticks."""
    if not round_.active:
        last = steps[-1].note if steps else ""
        return round_.error or round_.summary or last or "The round is closed."
    if round_.cancel_requested_at is not None:
        return "The round is being cancelled; the program at work saves a checkpoint first."
    if round_.state == State.AWAITING_LABELS:
        return "Annotators compare the candidate with the deployed policy; the gate decides as they do."
    if round_.state == State.AWAITING_APPROVAL:
        if LEAD in roles:
            return "The gate says PROMOTE. Your decision is asked for."
        return "The gate says PROMOTE. A lead decides whether the candidate is deployed."
    return f"{State(round_.state).label}. This page follows the round to its end."


def _taken(round_: Round, entered: tuple[StateEntry, ...]) -> list[StateEntry]:
    """The steps so far, without a wait for labels in which nobody was asked for any."""
    return [
        step
        for step in entered
        if step.name != State.AWAITING_LABELS
        or not step.left_at
        or any(annotation.gate_queue_status(round_id=round_.id))
    ]


def _steps_ahead(round_: Round) -> list[StateEntry]:
    """The steps that this round will still take, as far as its plan and its verdict tell."""
    if not round_.active:
        return []
    order = list(State)
    left_out = set(ENDS)
    if round_.plan.get("candidate") != "trained":  # a known policy is judged: nothing is trained
        left_out.add(State.POLICY_TRAINING)
    if round_.deploys_by_itself:
        left_out.add(State.AWAITING_APPROVAL)
    if round_.verdict in ("REJECT", "INCONCLUSIVE"):
        left_out |= {State.AWAITING_APPROVAL, State.DEPLOYING}
    if round_.plan.get("next_pairs") == 0:
        left_out.add(State.SAMPLING_PAIRS)
    ahead = order[order.index(State(round_.state)) + 1 :]
    return [
        StateEntry(name=state, label=state.label, entered_at="")
        for state in ahead
        if state not in left_out
    ]


def _followed(round_: Round, steps: tuple[StateEntry, ...]) -> training.RunFollowed | None:
    """The program of the present step; of a stopped round, the one in which it stopped."""
    name = round_.state
    if not round_.active:
        stopped = failed_step(round_)
        name = stopped.name if stopped else ""
    run = next((step.run for step in steps if step.name == name), "")
    return training.run_followed(training.run_get(UUID(run))) if run else None


def _alarms(round_: Round) -> dict[str, training.RunAlarm]:
    """Run id -> the alarm that ended it early with a policy to judge."""
    found = {}
    for run in training.runs_of_round(round_.id):
        alarm = run.results.get("alarm")
        if alarm:
            title = training.ALARM_NAMES.get(alarm["name"], alarm["name"])
            found[str(run.id)] = training.RunAlarm(alarm["name"], title, alarm["says"])
    return found
