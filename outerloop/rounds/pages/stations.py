"""The four stations of the loop, each with its live state."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.utils.formats import date_format
from django.utils.timezone import localtime

from annotation.contracts import QueueStatus
from evaluation import facade as evaluation
from outerloop.rounds.models import PolicyLine, Round, RoundStep, State
from training import facade as training

REWARD = (State.SNAPSHOT, State.REWARD_TRAINING, State.REWARD_EVALUATION)
POLICY = (State.POLICY_TRAINING, State.POLICY_EVALUATION)
GATE = (State.AWAITING_LABELS, State.AWAITING_APPROVAL, State.DECIDED, State.DEPLOYING)


@dataclass(frozen=True)
class Station:
    """`css` is is-running, is-done or empty; `also` is a second sentence."""

    name: str
    figure: str
    says: str
    css: str = ""
    progress: int = 0
    total: int = 0
    also: str = ""


def stations(
    line: PolicyLine,
    *,
    running: Round | None,
    fresh: int,
    queue: QueueStatus,
    deployment: evaluation.LineDeployment | None,
    first_policy: training.RunFollowed | None,
) -> list[Station]:
    step = running.steps.filter(name=running.state).first() if running else None
    last = line.rounds.order_by("-number").first()
    return [
        _labels(line, running, fresh, queue),
        _working("Reward model", running, step, REWARD) or _reward_model(line),
        _policy(last, deployment, first_policy, _working("Policy", running, step, POLICY)),
        _working("Gate", running, step, GATE) or _gate(line),
    ]


def _labels(line: PolicyLine, running: Round | None, fresh: int, queue: QueueStatus) -> Station:
    wanted = line.minimum_fresh_labels
    waiting = queue.open_training + queue.open_gate
    return Station(
        name="Labels",
        figure=f"{fresh} of {wanted}",
        says=f"new labels since the last round; {_count(waiting, 'pair')} to compare,"
        f" {_count(queue.annotators, 'annotator')} in the last day",
        css="is-running" if running and running.state == State.AWAITING_LABELS else "",
        progress=min(fresh, wanted),
        total=wanted,
    )


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _working(
    name: str, running: Round | None, step: RoundStep | None, states: tuple[State, ...]
) -> Station | None:
    """The station at which the running round stands, or None for the others."""
    if running is None or running.state not in states:
        return None
    label = State(running.state).label
    if step is None or step.started_at is None:
        return Station(name, label, "waits for a worker", "is-running")
    if not step.phase:
        return Station(name, label, step.note, "is-running")
    of = f", {step.progress} of {step.total}" if step.total > 1 else ""
    says = training.phase_words(step.phase) + of
    return Station(name, label, says, "is-running", step.progress, step.total)


def _reward_model(line: PolicyLine) -> Station:
    last = line.rounds.filter(reward_model__isnull=False).order_by("-number").first()
    if last is None or last.reward_model is None:
        return Station("Reward model", "none yet", "trained when a round starts")
    name = training.model_version_get(last.reward_model).name
    return Station("Reward model", name, f"trained in round {last.number}", "is-done")


def _policy(
    last: Round | None,
    deployment: evaluation.LineDeployment | None,
    first_policy: training.RunFollowed | None,
    working: Station | None,
) -> Station:
    """What is deployed, and apart from it the candidate: that at work, or that of the last round."""
    if deployment is None:
        return _first_policy(first_policy)
    name = training.model_version_get(deployment.version_id).name
    if working is not None:
        return replace(working, also=f"{name} is deployed")
    since = f"deployed since {date_format(localtime(deployment.started_at), 'j M Y H:i')}"
    return Station("Policy", name, since, "is-done", also=_candidate(last, deployment))


def _candidate(last: Round | None, deployment: evaluation.LineDeployment) -> str:
    if last is None or last.candidate in (None, deployment.version_id, last.incumbent):
        return ""
    name = training.model_version_get(last.candidate).name
    canary = evaluation.canary_running(deployment.line_id)
    if canary is not None and canary.version_id == last.candidate:
        return f"{name} of round {last.number} answers {canary.share}% of the users"
    if last.active and last.state != State.SAMPLING_PAIRS:
        return f"candidate: {name} of round {last.number}, being judged"
    return f"{name} of round {last.number} was not deployed"


def _first_policy(run: training.RunFollowed | None) -> Station:
    if run is None:
        return Station("Policy", "none yet", "the line needs a base policy")
    if not run.live:
        return Station("Policy", "none yet", "the first policy's training is over")
    stands = run.standing
    if stands is None:
        return Station("Policy", "Training the first policy", "waits for a worker", "is-running")
    of = f", {stands.step} of {stands.total}" if stands.total > 1 else ""
    return Station("Policy", "Training the first policy", run.phase + of, "is-running",
                   stands.step, stands.total)  # fmt: skip


def _gate(line: PolicyLine) -> Station:
    last = line.rounds.exclude(verdict="").order_by("-number").first()
    if last is None:
        return Station("Gate", "no verdict yet", "decides once a candidate has been measured")
    return Station("Gate", last.verdict, f"on round {last.number}", "is-done")
