#!/usr/bin/env python
"""Outerloop's command line; starts the embedded PostgreSQL first where no DATABASE_URL is set."""

import os
import sys

# Commands that never talk to the database.
OFFLINE = {
    "check",
    "help",
    "--help",
    "collectstatic",
    "compilemessages",
    "makemessages",
    "postgres",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "outerloop.settings.dev")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db.utils import OperationalError, ProgrammingError
    from psycopg import ProgrammingError as DriverError

    for word in sys.argv[1:]:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            sys.exit(f"{word!a} is not text in UTF-8: write it so, or rename the file.")
    if len(sys.argv) > 1 and sys.argv[1] not in OFFLINE and not os.environ.get("DATABASE_URL"):
        from outerloop.embedded_postgres import EmbeddedPostgresError, server_ensure

        try:
            server_ensure()
        except EmbeddedPostgresError as error:
            sys.exit(f"{error}")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(_said(error))
    except OperationalError as error:
        said = str(error).strip().splitlines()[0]
        sys.exit(f"The database does not answer ({_said(said)}); start it, or mend DATABASE_URL.")
    except (ProgrammingError, DriverError) as error:
        from web.outages import UNMIGRATED, is_unmigrated

        if not is_unmigrated(error):
            raise
        sys.exit(_said(UNMIGRATED))


def _said(error: object) -> str:
    """The error as a sentence; with --traceback it is raised as it is."""
    if "--traceback" in sys.argv:
        raise
    return str(error)


if __name__ == "__main__":
    main()
