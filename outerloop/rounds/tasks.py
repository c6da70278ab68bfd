"""Celery doors of the loop. A message is only a hint: the sweeper finds what a lost one left."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from annotation import facade as annotation
from evaluation import facade as evaluation
from outerloop.rounds import alarms, bases, schedule, services, signal_watch, task_checks
from outerloop.rounds.models import ENDS, Round, State, TaskCheck
from outerloop.rounds.record import record_refresh
from outerloop.rounds.selectors import rounds_just_ended, rounds_without_worker
from outerloop.rounds.steps import LEARNING
from training import facade as training
from web.jobs import jobs_waiting

logger = logging.getLogger(__name__)

TOLD_WITHIN = timedelta(hours=1)


def advance_enqueue(round_id: UUID, state: State | str) -> None:
    """Ask a worker to go on with a round; to be called after the change is committed."""
    queue = "gpu" if State(state) in LEARNING else "default"
    try:
        advance.apply_async(args=[str(round_id)], queue=queue)
    except OperationalError as error:  # the sweeper finds the round once the broker is back
        logger.warning("round %s: no message could be sent: %s", round_id, error)


def base_enqueue(order_id: UUID) -> None:
    """Ask a worker that has the learning programs to take a base policy; after commit, as above."""
    try:
        base_take.apply_async(args=[str(order_id)], queue="gpu")
    except OperationalError as error:  # the sweep finds the order once the broker is back
        logger.warning("base order %s: no message could be sent: %s", order_id, error)


@shared_task(name="rounds.base_take")
def base_take(order_id: str) -> None:
    bases.base_take(UUID(order_id))


def task_check_enqueue(check_id: UUID) -> None:
    """Ask a worker to check a task; after commit, as above."""
    try:
        task_check.delay(str(check_id))
    except OperationalError as error:  # the sweep finds the check once the broker is back
        logger.warning("check of a task %s: no message could be sent: %s", check_id, error)


@shared_task(name="rounds.task_check")
def task_check(check_id: str) -> None:
    task_checks.task_check_run(check_id=UUID(check_id))


@shared_task(name="rounds.advance")
def advance(round_id: str) -> None:
    """Work on the round's present step, then hand on to the queue of the next."""
    state = services.round_advance(round_id=UUID(round_id))
    round_ = Round.objects.select_related("line").get(pk=round_id)
    alarms.round_alarms(round_)
    alarms.run_alarms(round_)
    if state is not None and state not in ENDS:
        advance_enqueue(UUID(round_id), state)
    _report_keep(round_, moved=state is not None)


def _report_keep(round_: Round, *, moved: bool) -> None:
    """A judged round has its report, and a new revision after every move."""
    if round_.verdict and (moved or evaluation.report_get(round_.id) is None):
        record_refresh(round_)


def _end_tell(round_: Round) -> None:
    """Make good what a worker that died after a round's last move left undone; else change nothing."""
    alarms.round_alarms(round_)
    record = evaluation.report_get(round_.id)
    _report_keep(round_, moved=record is not None and record.state != round_.state)


def _widened_report() -> None:
    """The report of a round whose canary was widened says what is deployed."""
    for round_id in evaluation.rounds_widened(timezone.now() - TOLD_WITHIN):
        record = evaluation.report_get(round_id)
        if record is not None and not record.deployments:
            record_refresh(Round.objects.select_related("line").get(pk=round_id))


@shared_task(name="rounds.sweep")
def sweep() -> None:
    """Take up every step that nobody holds, and look for what people should know."""
    for round_ in rounds_without_worker():
        advance_enqueue(round_.id, round_.state)
    for order_id in bases.orders_free():
        base_enqueue(order_id)
    for check_id in jobs_waiting(TaskCheck):
        task_check_enqueue(check_id)
    for round_ in rounds_just_ended(TOLD_WITHIN):
        _end_tell(round_)
    alarms.queue_alarms()
    signal_watch.signal_alarms()
    evaluation.canaries_judge()
    _widened_report()
    schedule.messages_purge()
    annotation.signals_expire()
    training.jobs_sweep()  # last, as a silent scheduler takes its time


@shared_task(name="rounds.nightly")
def nightly(line_id: str) -> None:
    """A scheduled start; a night on which nothing starts leaves a row that says why."""
    round_ = schedule.scheduled_start(UUID(line_id))
    if round_ is not None:
        advance_enqueue(round_.id, round_.state)
