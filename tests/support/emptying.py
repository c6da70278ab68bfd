"""After a test that commits: its rows go, and nothing else.

Django truncates every table and makes content types and permissions anew, about a second each time with
some ninety tables; a test leaves rows in a handful of them.
"""

from __future__ import annotations

from functools import cache

from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

MADE_BY_MIGRATE = {"django_content_type", "auth_permission"}


def emptied_quickly() -> None:
    """Let pytest-django's tests with `transaction=True` empty the database by `database_empty`."""
    TransactionTestCase._fixture_teardown = lambda self: database_empty()  # type: ignore[attr-defined]


def database_empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if not cursor.fetchone()[0]:  # only a superuser can leave foreign keys and triggers aside
            call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
            return
        cursor.execute(_tables_with_rows())
        tables = [name for (name,) in cursor.fetchall()]
        if tables:
            deletes = ";".join(f'DELETE FROM "{name}"' for name in tables)
            cursor.execute(
                f"BEGIN; SET LOCAL session_replication_role = replica; {deletes}; COMMIT"
            )


@cache
def _tables_with_rows() -> str:
    """The statement that finds them."""
    names = set(
        connection.introspection.django_table_names(only_existing=True, include_views=False)
    )
    return " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")"
        for name in sorted(names - MADE_BY_MIGRATE)
    )
