"""A task's lines name the task, and the request that asked for it."""

from __future__ import annotations

from types import SimpleNamespace

from celery.signals import before_task_publish, task_postrun, task_prerun

from outerloop.operations.monitoring.signals import HEADER
from web.tracing import log_context, log_fields


def test_the_request_goes_along_in_the_message_and_ends_with_the_task():
    headers: dict[str, str] = {}
    with log_context(request_id="req-12345678"):
        before_task_publish.send(sender="rounds.advance", headers=headers)
    assert headers == {HEADER: "req-12345678"}
    task = SimpleNamespace(name="rounds.advance", request=SimpleNamespace(**headers))
    task_prerun.send(sender=None, task_id="t-1", task=task)
    assert dict(log_fields()) == {
        "task": "rounds.advance", "task_id": "t-1", "request_id": "req-12345678",
    }  # fmt: skip
    task_postrun.send(sender=None, task_id="t-1", task=task)
    assert dict(log_fields()) == {}


def test_a_message_of_the_schedule_has_no_request():
    headers: dict[str, str] = {}
    before_task_publish.send(sender="rounds.sweep", headers=headers)
    assert headers == {}
    task = SimpleNamespace(name="rounds.sweep", request=SimpleNamespace())
    task_prerun.send(sender=None, task_id="t-2", task=task)
    assert dict(log_fields()) == {"task": "rounds.sweep", "task_id": "t-2"}
    task_postrun.send(sender=None, task_id="t-2", task=task)
