"""Celery's tasks in the log: each line names its task, and the request that asked for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun

from web.tracing import log_context, log_fields

HEADER = "outerloop_request"

_open: dict[str, AbstractContextManager[None]] = {}


def request_carry(headers: dict[str, Any] | None = None, **signal: Any) -> None:
    """The message takes the id of the request along in which it was sent."""
    asked_by = log_fields().get("request_id")
    if asked_by and headers is not None:
        headers[HEADER] = asked_by


def task_enter(task_id: str, task: Any, **signal: Any) -> None:
    context = log_context(
        task=task.name, task_id=task_id, request_id=getattr(task.request, HEADER, "")
    )
    context.__enter__()
    _open[task_id] = context


def task_leave(task_id: str, **signal: Any) -> None:
    context = _open.pop(task_id, None)
    if context is not None:
        context.__exit__(None, None, None)


before_task_publish.connect(request_carry, dispatch_uid="monitoring.request_carry")
task_prerun.connect(task_enter, dispatch_uid="monitoring.task_enter")
task_postrun.connect(task_leave, dispatch_uid="monitoring.task_leave")
