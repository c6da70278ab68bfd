"""The database as Celery's broker, so that workers and the schedule outlive a restart of PostgreSQL.

kombu's transport knows one error as a lost connection. A restart shows itself by others as well: a
transaction that has to be rolled back first, a pool without a connection, a channel that was closed
meanwhile. Those would end a worker, and keep the schedule from ever sending again. Here each of them
makes it connect anew. `outerloop.celery` puts this transport in the place of kombu's for `sqla+...`
addresses; SQLAlchemy is loaded when the first connection is made.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from amqp.exceptions import RecoverableConnectionError
from kombu.transport import sqlalchemy as kombu_sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from outerloop.database.silence import CONNECTING, BoundedConnection


def _connect(dialect: Any, record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """SQLAlchemy's way to connect, with the end to silence that the site's own connections have.

    As Django's, they prepare no statement: a pooler may give the next transaction another session.
    """
    settings = {**CONNECTING, "prepare_threshold": None, **options}
    return BoundedConnection.connect(*arguments, **settings)


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
        engine = super()._engine_from_config()
        event.listen(engine, "do_connect", _connect)
        return engine


class Transport(kombu_sqlalchemy.Transport):  # type: ignore[misc]
    Channel = Channel
    connection_errors = (SQLAlchemyError, RecoverableConnectionError)

    def establish_connection(self) -> Any:
        """Connect in earnest, so that kombu waits between its tries while the database is away."""
        made = super().establish_connection()
        channel = self._avail_channels[-1]
        try:
            channel.session.connection()
            channel.session.rollback()
        except SQLAlchemyError:
            self._avail_channels.remove(channel)
            channel.close()
            raise
        return made
