"""The broker in the database, when the database goes away."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection
from kombu import Connection

from tests.support.fake_runs import database_url
from tests.support.workers import database_broker

pytestmark = pytest.mark.django_db(transaction=True)


def sessions_end():
    """The server ends the broker's connections, as when it is restarted; this test's own stays."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (own,) = cursor.fetchone()
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
            [own],
        )


@pytest.fixture
def broker():
    with database_broker() as made:
        yield made


def test_every_way_to_lose_the_database_is_a_lost_connection(broker):
    """kombu tries to commit on the way out, which raises another error than the lost connection's."""
    queue = broker.SimpleQueue("default")
    queue.put({"n": 1})
    broker.default_channel.session.connection()  # a transaction is open
    sessions_end()
    with pytest.raises(broker.connection_errors):
        broker.default_channel._get("default")


def test_a_new_connection_finds_the_message_that_was_not_taken(broker):
    broker.SimpleQueue("default").put({"n": 1})
    sessions_end()
    broker.collect()
    with broker.clone() as again:
        message = again.SimpleQueue("default").get(timeout=10)
        assert message.payload == {"n": 1}


def test_a_producer_that_lost_the_database_sends_again(broker):
    """As beat does, which keeps its producer for as long as it lives."""
    queue = broker.SimpleQueue("default")
    producer = broker.Producer()
    patient = {"retry": True, "retry_policy": {"max_retries": 5, "interval_start": 0.1}}
    for number in range(3):
        producer.publish({"n": number}, routing_key="default", exchange=queue.queue.exchange,
                         declare=[queue.queue], **patient)  # fmt: skip
        if number == 0:
            sessions_end()
        else:  # what a failed try leaves behind
            producer.channel.close()
    with broker.clone() as again:
        received = again.SimpleQueue("default")
        assert sorted(received.get(timeout=10).payload["n"] for _ in range(3)) == [0, 1, 2]


def test_connecting_says_at_once_that_the_database_is_away(broker):
    nowhere = database_url().replace(f"/{connection.settings_dict['NAME']}", "/no_such_database")
    with (
        Connection("sqla+" + nowhere.replace("://", "+psycopg://", 1)) as away,
        pytest.raises(away.connection_errors),
    ):
        away.transport.establish_connection()


def test_a_closed_channel_gives_its_connection_back(broker):
    queue = broker.SimpleQueue("default")
    queue.put({"n": 1})
    channel = broker.default_channel
    engine, _ = channel._engines[broker.hostname]
    channel.session.connection()
    assert engine.pool.checkedout() >= 1
    out = engine.pool.checkedout()
    channel.close()
    assert engine.pool.checkedout() == out - 1
