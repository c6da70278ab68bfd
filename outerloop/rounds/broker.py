"""The broker in the database: its tables, made once and by one process."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, transaction

from outerloop.broker import broker_connection

QUEUES = ("default", "files", "gpu", "webhooks")
# Any number that no other advisory lock of this database uses.
LOCK = 7_310_205


def broker_prepare() -> None:
    """Make the tables and queues of a database broker; another kind of broker needs none.

    Every process would make them at its first message, without looking whether another is just
    doing so: of two workers started together on a new database one died of it.
    """
    if not settings.CELERY_BROKER_URL.startswith("sqla+"):
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        with broker_connection() as broker:
            for queue in QUEUES:
                broker.SimpleQueue(queue).close()


def broker_prepare_migrated(**signal: Any) -> None:
    """After `migrate`: the same, where the broker is the very database that was migrated.

    Emptying a database sends this signal too, but without a plan.
    """
    database = urlsplit(settings.CELERY_BROKER_URL).path.lstrip("/")
    if "plan" in signal and database == connection.settings_dict["NAME"]:
        broker_prepare()
