"""A benchmark's own database, on a server that goes away with it."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection

import benchmarks.django_ready  # noqa: F401 - sets Django up before it is used
from outerloop.settings.addresses import database_from_url
from tests.support.postgres import PostgresServer


def database_new(server: PostgresServer, name: str) -> str:
    """The address of a new database with the product's tables, which this process's Django works on now."""
    server.execute(f"CREATE DATABASE {name}")
    database_use(server.url(name))
    call_command("migrate", verbosity=0)
    return server.url(name)


def database_use(url: str) -> None:
    """Let this process's Django work on another database."""
    connection.close()
    connection.settings_dict.update(database_from_url("DATABASE_URL", url))
