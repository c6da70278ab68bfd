"""Tasks of lm-evaluation-harness on their way to a line: ordered on its page, checked and attached by a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from evaluation import facade as evaluation
from web.jobs import JobFailed, JobState, job_carried, job_heard
from web.services import audit_record

from .models import PolicyLine, TaskCheck
from .suites import SuiteRefused, task_attach, task_read

SHOWN = timedelta(days=1)
"""How long the page of suites names a check that failed."""


def task_order(
    *, line: PolicyLine, name: str, task: str, metric: str, limit: int, chat: bool, actor: str
) -> TaskCheck:
    """Order the check of a task, to be enqueued after commit; SuiteRefused where it is refused unchecked."""
    task_read(line=line, name=name, task=task, metric=metric, limit=limit, chat=chat)
    check = TaskCheck.objects.create(
        line=line.pk, name=name, task=task, metric=metric, limit=limit, chat=chat, actor=actor
    )
    detail = {"task": task, "check": str(check.pk)}
    audit_record(
        actor=actor, verb="ordered check of suite", target=name, line=line.pk, detail=detail
    )
    return check


def task_check_run(*, check_id: UUID) -> TaskCheck | None:
    """Claim a check, carry it out and attach the task, as `job_carried` says."""
    return job_carried(TaskCheck, check_id, _checked)


def checks_shown(line: PolicyLine) -> list[TaskCheck]:
    """What the page of suites names: checks under way, and what failed lately."""
    under_way = Q(state__in=(JobState.QUEUED, JobState.RUNNING))
    failed = Q(state=JobState.FAILED, finished_at__gt=timezone.now() - SHOWN)
    return list(TaskCheck.objects.filter(under_way | failed, line=line.pk))


def _checked(check: TaskCheck) -> dict[str, str]:
    line = PolicyLine.objects.get(pk=check.line)
    try:
        read = task_read(
            line=line,
            name=check.name,
            task=check.task,
            metric=check.metric,
            limit=check.limit,
            chat=check.chat,
        )
        suite = evaluation.task_suite_check(read, beat=_beat(check))
        with transaction.atomic():  # a worker that dies now leaves both or neither
            task_attach(line=line, suite=suite, actor=check.actor)
            TaskCheck.objects.filter(pk=check.pk).update(state=JobState.DONE)
    except (SuiteRefused, evaluation.SuiteError) as refusal:
        raise JobFailed(str(refusal)) from refusal
    return {}


def _beat(check: TaskCheck) -> Callable[[], None]:
    """Tells the database every so often that the worker is alive; `JobCancelled` where it is to stop."""
    told = 0.0

    def beat() -> None:
        nonlocal told
        if time.monotonic() - told >= settings.OUTERLOOP_HEARTBEAT_SECONDS:
            told = time.monotonic()
            job_heard(check)

    return beat
