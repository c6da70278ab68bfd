"""A broker that takes connections and says nothing costs who sends to it two seconds, and then none."""

from __future__ import annotations

import time

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from outerloop.broker import broker_connection
from outerloop.celery import HintTask, app
from outerloop.settings.addresses import broker_transport
from tests.support.silent import silent_server


@pytest.fixture
def no_memory(monkeypatch):
    """What an earlier test found of its broker is forgotten, and what this one finds."""
    monkeypatch.setattr(HintTask, "silent_until", 0.0)


def nothing():
    """What the message would ask for."""


@pytest.mark.parametrize(
    ("scheme", "greeting"), [("redis", b""), ("amqp", b""), ("amqp", b"AMQP\x00\x00\x09\x01")]
)
def test_connecting_ends(settings, scheme, greeting):
    with silent_server(greeting) as port:
        settings.CELERY_BROKER_URL = f"{scheme}://127.0.0.1:{port}/0"
        began = time.monotonic()
        with pytest.raises(Exception) as raised, broker_connection() as broker:  # each has its own
            broker.ensure_connection(max_retries=1, timeout=2)
    assert time.monotonic() - began < 60, raised.value


def test_sending_ends_and_the_next_message_costs_nothing(no_memory):
    with silent_server() as port:
        url = f"redis://127.0.0.1:{port}/0"
        other = Celery("other", task_cls=HintTask, broker=url, set_as_current=False)
        for name in ("broker_pool_acquire_timeout", "task_publish_retry_policy"):
            other.conf[name] = app.conf[name]
        other.conf.broker_transport_options = broker_transport(url)
        task = other.task(nothing, name="a hint", queue="default")
        began = time.monotonic()
        with pytest.raises(OperationalError):
            task.apply_async()
        assert time.monotonic() - began < 60
        with pytest.raises(OperationalError, match="silent a moment ago"):
            task.apply_async()


def test_every_task_of_ours_is_such_a_hint():
    app.loader.import_default_modules()
    ours = [t for name, t in app.tasks.items() if not name.startswith("celery.")]
    assert ours
    assert all(isinstance(task, HintTask) for task in ours)
