"""The database as Celery's broker, so that a worker outlives a restart of PostgreSQL.

kombu's transport knows one error as a lost connection. A restart shows itself by others as well (a
transaction that has to be rolled back first, a pool without a connection), and those would end the
worker. Here each of them makes it connect anew. `outerloop.celery` puts this transport in the place
of kombu's for `sqla+...` addresses.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kombu.transport import sqlalchemy as kombu_sqlalchemy
from sqlalchemy.exc import SQLAlchemyError


class Channel(kombu_sqlalchemy.Channel):  # type: ignore[misc]
    _session: Any = None

    def close(self) -> None:
        """Give the session's connection back; kombu forgets it, and a pool holds but a few."""
        try:
            super().close()
        finally:
            if self._session is not None:
                with suppress(SQLAlchemyError):
                    self._session.close()
                self._session = None

    def _engine_from_config(self) -> Any:
        options = self.connection.client.transport_options
        options.setdefault("pool_pre_ping", True)  # after a restart, none of the pool's is alive
        return super()._engine_from_config()


class Transport(kombu_sqlalchemy.Transport):  # type: ignore[misc]
    Channel = Channel
    connection_errors = (SQLAlchemyError,)
