"""Writes of the loop: lines are made, rounds start, move on, are cancelled, fail, are taken up again."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.validators import slug_re
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import facade as annotation
from evaluation import facade as evaluation
from training import facade as training
from training.contracts import ContractError
from web.outages import DATABASE_AWAY, connection_drop, first_line
from web.services import audit_record
from web.storage import error_sentence
from web.tracing import log_arguments, log_context

from .claims import (
    ClaimLost,
    RoundCancelRequested,
    round_move,
    step_claim,
    step_heartbeat,
    step_release,
    worker_name,
)
from .dry_run import start_check
from .events import STARTED, move_tell, round_tell
from .locking import RoundRefused, line_locked
from .models import ENDS, PolicyLine, Round, RoundStep, StartAttempt, State
from .plan import RoundPlan, plan_override
from .selectors import (
    failed_step,
    fresh_labels,
    last_round,
    line_plan,
)
from .steps import STEPS, Move, StepContext, StepFailed

if TYPE_CHECKING:
    from web.access import User

logger = logging.getLogger(__name__)


RESERVED = ("new",)  # a page of its own at /lines/new/


def slug_problem(slug: str) -> str:
    """What is wrong with a new line's name in addresses; empty where it may be used."""
    if not slug:
        return "Write a name for addresses in letters, digits and hyphens: none can be made of this name."
    if len(slug) > 50 or not slug_re.fullmatch(slug):
        return f"{slug!r} cannot stand in an address: use at most 50 letters, digits, hyphens."
    if slug in RESERVED:
        return f"{slug!r} is the address of another page: choose another name for addresses."
    if PolicyLine.objects.filter(slug=slug).exists():
        return f"A line at {slug!r} exists: choose another name for addresses."
    return ""


def line_create(
    *, name: str, slug: str, plan: RoundPlan, simulated: bool = False, **fields: Any
) -> PolicyLine:
    return PolicyLine.objects.create(
        name=name,
        slug=slug,
        plan=plan.to_json(),
        simulated=simulated,
        minimum_fresh_labels=max(1, plan.minimum_fresh_labels),
        **fields,
    )


@transaction.atomic
def line_base_set(*, line: PolicyLine, version_id: UUID, actor: str) -> None:
    """Set the policy that training starts from; the first one is deployed as well."""
    PolicyLine.objects.filter(pk=line.pk).update(base_version=version_id)
    line.base_version = version_id
    training.model_version_retain(version_id=version_id, reason="base policy of the line")
    if evaluation.deployed_version(line.id) is None:
        evaluation.deployment_start(
            line_id=line.id, version_id=version_id, kind="initial", round_id=None, actor=actor
        )
    audit_record(actor=actor, verb="set base policy", target=str(version_id), line=line.id)


def line_plan_save(*, line: PolicyLine, plan: RoundPlan, actor: str) -> None:
    before = line.plan
    PolicyLine.objects.filter(pk=line.pk).update(plan=plan.to_json())
    line.plan = plan.to_json()
    detail = {"before": before, "after": line.plan}
    audit_record(actor=actor, verb="changed plan", target=line.slug, line=line.id, detail=detail)


def promotions_save(
    *,
    line: PolicyLine,
    deploys_by_itself: bool,
    canary_share: int,
    release_gate_labels: str,
    actor: str,
) -> None:
    """Say whether promotions of this line wait for a lead (a round that runs keeps the rule it began with),
    whether they begin as canaries, and whether gate labels train once they have decided (this counts from the
    next decision on)."""
    asked = {
        "deploys_by_itself": deploys_by_itself,
        "canary_share": canary_share,
        "release_gate_labels": release_gate_labels,
    }
    changed = {name: value for name, value in asked.items() if value != getattr(line, name)}
    PolicyLine.objects.filter(pk=line.pk).update(**asked)
    for name, value in asked.items():
        setattr(line, name, value)
    verbs = {
        "canary_share": "changed whom promoted policies answer first",
        "deploys_by_itself": "changed who approves promotions",
        "release_gate_labels": "changed what becomes of gate labels",
    }
    for name, value in changed.items():
        audit_record(
            actor=actor, verb=verbs[name], target=line.slug, line=line.id, detail={name: value}
        )


def round_start(
    *,
    line: PolicyLine,
    trigger: str,
    actor: User | None = None,
    forced: bool = False,
    changes: dict[str, Any] | None = None,
    title: str = "",
) -> Round:
    """Start a round, or raise `RoundRefused`; either way the attempt leaves a row.

    `changes` departs from the line's plan for this round alone. The caller enqueues the first step
    after commit.
    """
    check = start_check(line=line, forced=forced, changes=changes)
    if not check.ready:
        reason = " ".join(check.reasons)
        StartAttempt.objects.create(line=line, trigger=trigger, reason=reason[:300])
        raise RoundRefused(reason)
    plan = plan_override(line_plan(line), changes or {})
    incumbent = evaluation.deployed_version(line.id)
    assert incumbent is not None  # the check refuses a line without one
    previous = last_round(line)
    try:
        with transaction.atomic():
            line_locked(line.id)
            round_ = Round.objects.create(
                line=line,
                number=previous.number + 1 if previous else 1,
                trigger=trigger,
                started_by=actor,
                title=title,
                plan=plan.to_json(),
                deploys_by_itself=line.deploys_by_itself,
                incumbent=incumbent,
                fresh_labels=fresh_labels(line),
            )
            StartAttempt.objects.create(line=line, trigger=trigger, round=round_)
            round_tell(round_, STARTED)
    except (IntegrityError, RoundRefused) as error:
        same = "Another round was started at the same moment."
        reason = str(error) if isinstance(error, RoundRefused) else same
        StartAttempt.objects.create(line=line, trigger=trigger, reason=reason)
        raise RoundRefused(reason) from error
    who = str(actor.pk) if actor else trigger
    audit_record(
        actor=who, verb="started round", target=f"{line.slug}/{round_.number}", line=line.id
    )
    return round_


def first_pairs_order(*, line: PolicyLine, trigger: str, actor: User | None = None) -> Round:
    """Round 0: the base policy writes the first pairs to compare. It learns and decides nothing."""
    if line.rounds.exists():
        raise RoundRefused(f"{line.name} has rounds already; its pairs come from them.")
    incumbent = evaluation.deployed_version(line.id)
    if incumbent is None:
        raise RoundRefused("The line has no base policy; set one first.")
    try:
        with transaction.atomic():
            line_locked(line.id)
            round_ = Round.objects.create(
                line=line,
                number=0,
                state=State.SAMPLING_PAIRS,
                trigger=trigger,
                started_by=actor,
                title="first pairs",
                plan=line_plan(line).to_json(),
                incumbent=incumbent,
            )
            round_tell(round_, STARTED)
    except IntegrityError as error:
        raise RoundRefused("The first pairs were ordered at the same moment.") from error
    return round_


def round_cancel(*, round_: Round, actor: str) -> bool:
    """Ask an active round to stop; its artifacts so far are kept. Whether it stops: not one that has ended."""
    asked = (
        Round.objects.filter(pk=round_.pk, cancel_requested_at__isnull=True)
        .exclude(state__in=ENDS)
        .update(cancel_requested_at=timezone.now())
    )
    if not asked:
        return Round.objects.filter(pk=round_.pk).exclude(state__in=ENDS).exists()
    audit_record(
        actor=actor,
        verb="cancelled round",
        target=f"{round_.line.slug}/{round_.number}",
        line=round_.line_id,
    )
    step = failed_step(round_)
    if step is not None and step.run is not None:
        training.run_cancel(run_id=step.run)
    return True


@log_arguments("round_id")
def round_advance(*, round_id: UUID) -> State | None:
    """Work on the present step of a round; the state to go on with, or None when there is nothing to
    do now: another worker holds the step, it waits, or the round ended."""
    round_ = Round.objects.select_related("line").get(pk=round_id)
    if not round_.active:
        return None
    step = step_claim(round_, owner=worker_name())
    if step is None:
        return None
    round_.refresh_from_db()
    if round_.state != step.name:
        return None
    try:
        return _step_work(round_, step)
    except (ClaimLost, training.LeaseLost) as error:
        logger.warning("round %s: %s", round_.id, error)
    except training.RunBusy as error:
        step_release(step, note=str(error))
    except (RoundCancelRequested, training.RunCancelled) as error:
        _round_stop(round_, step, error)
    except DATABASE_AWAY as error:
        _step_leave(step, error)
    except (
        StepFailed,
        training.RunFailed,
        training.ArtifactMismatch,
        ContractError,
        LookupError,
        ValueError,
        OSError,
    ) as error:
        _round_end(round_, step, State.FAILED, error_sentence(error))
    except (
        Exception
    ) as error:  # a defect of ours: the round says so rather than hang until its lease
        logger.exception("round %s: unexpected error in %s", round_.id, step.name)
        _round_end(round_, step, State.FAILED, f"Unexpected error: {error!r}")
    return None


def _step_work(round_: Round, step: RoundStep) -> State | None:
    step_heartbeat(step)
    context = StepContext(
        round=round_,
        line=round_.line,
        plan=RoundPlan.from_json(round_.plan),
        step=step,
        owner=step.lease_owner,
    )
    started = time.monotonic()
    with log_context(step=step.name):
        outcome = STEPS[State(step.name)](context)
        seconds = round(time.monotonic() - started, 3)
        if isinstance(outcome, Move):
            logger.info("The step is done. %s", outcome.note, extra={"seconds": seconds})
        else:  # a waiting step is looked at every few seconds
            logger.debug("The step waits. %s", outcome.note)
    if isinstance(outcome, Move):
        round_move(
            step,
            to=outcome.to,
            read=outcome.read,
            wrote=outcome.wrote,
            note=outcome.note,
            **outcome.fields,
        )
        return outcome.to
    step_release(step, note=outcome.note)
    return None


def _step_leave(step: RoundStep, error: Exception) -> None:
    """The database was away: that is no fault of the round. The sweeper hands the step on again."""
    logger.warning("%s: the database does not answer: %s", step, first_line(error))
    connection_drop()
    with suppress(ClaimLost, *DATABASE_AWAY):  # still away: the lease runs out by itself
        step_release(step, note="The database was away for a moment; the step is tried again.")


def _round_stop(round_: Round, step: RoundStep, error: Exception) -> None:
    """A cancelled round is cancelled; a run stopped by its time limit fails the round."""
    round_.refresh_from_db(fields=["cancel_requested_at"])
    if round_.cancel_requested_at is not None:
        _round_end(round_, step, State.CANCELLED, "Cancelled by a person.")
    else:
        _round_end(round_, step, State.FAILED, f"{error} The time limit of the step was reached.")


@transaction.atomic
def _round_end(round_: Round, step: RoundStep, state: State, message: str) -> None:
    """End the round and leave its step unfinished, so that the round can be taken up again.

    Only the worker that holds the step may: the word of one that lost it does not count.
    """
    now = timezone.now()
    kept = RoundStep.objects.filter(pk=step.pk, fence=step.fence, finished_at__isnull=True).update(
        lease_expires_at=None, lease_owner="", note=message[:500]
    )
    if not kept:
        logger.warning("round %s: %s was taken over; %s", round_.id, step.name, message)
        return
    ended = Round.objects.filter(pk=round_.pk, state=step.name).update(
        state=state, error=message, closed_at=now
    )
    if ended:
        move_tell(round_.pk, state, decided=False)
    if step.run is not None:  # a scheduler's job would run on; taking the round up undoes it
        training.run_cancel(run_id=step.run)
    level = logging.ERROR if state == State.FAILED else logging.INFO
    logger.log(level, "The round stopped: %s", message, extra={"step": step.name})
    annotation.gate_queue_close(round_id=round_.pk)  # nobody labels for a round that has stopped
