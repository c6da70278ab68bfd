"""Two processes that come to a new database broker together."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection

from tests.support.fake_runs import product_environment
from tests.support.workers import database_broker

PREPARE = """
import django
django.setup()
from outerloop.rounds.broker import broker_prepare
broker_prepare()
"""


@pytest.mark.django_db(transaction=True)
def test_processes_that_start_together_make_the_tables_once(tmp_path):
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS kombu_message, kombu_queue CASCADE")
        cursor.execute("DROP SEQUENCE IF EXISTS queue_id_sequence, message_id_sequence CASCADE")
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE],
            cwd=settings.BASE_DIR,
            env=product_environment(tmp_path / "var"),
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ended = [(process.wait(timeout=60), process.communicate()[1]) for process in starters]
    assert ended == [(0, "")] * 4
    with database_broker() as broker, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM kombu_queue ORDER BY name")
        assert cursor.fetchall() == [("default",), ("files",), ("gpu",), ("webhooks",)]
        broker.SimpleQueue("gpu").put({"still": "works"})
