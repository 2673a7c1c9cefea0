"""The connections to one database: the first of them has it up and migrated."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any
from weakref import WeakSet

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from repos.address import driver_url, place_of
from repos.connecting import connect
from repos.embedded.server import EmbeddedPostgres
from repos.errors import DatabaseUnavailable
from repos.hot import SQL_LOG
from repos.json_text import read_json
from repos.loggers import Logs
from repos.migrations.upgrade import is_pooled, migrate

_CLOSE_SECONDS = 0.5
_STATEMENTS = 100  # kept prepared on a connection
_ANSWER_SECONDS = 60.0
"""A statement that has no answer by then counts as failed: the server may be gone without a word."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """End it in a moment. The driver would wait for a server that is frozen or out of reach."""
        with suppress(TimeoutError):
            await super().close(timeout=_CLOSE_SECONDS)


class Connections:
    """Makes connections, and ends those that are left when it is closed."""

    def __init__(
        self,
        database: str | EmbeddedPostgres,
        listen_url: str | None,
        logs: Logs,
        *,
        read_timeout: float | None,
        work: str | None,
        migrating: bool,
    ) -> None:
        """The arguments are those of DatabaseOperations.

        Raises:
            InvalidValue: A URL is not PostgreSQL's.
        """
        self.database = driver_url(database) if isinstance(database, str) else database
        self.listen_url = None if listen_url is None else driver_url(listen_url, "DATABASE_LISTEN_URL")
        self._logs = logs
        self._read_timeout = read_timeout
        self._work = work
        self._migrating = migrating
        self._preparing = asyncio.Lock()
        self._prepared = False
        self._pooled = False
        self.closed = False
        self._open: WeakSet[asyncpg.Connection] = WeakSet()

    def engine(self, connect: Callable[[], Awaitable[asyncpg.Connection]], **options: Any) -> AsyncEngine:
        """A pool of those that `connect` makes."""
        # READ COMMITTED is said with each transaction: a role may have another default, under which parallel upserts
        # fail (40001).
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            isolation_level="READ COMMITTED",
            json_deserializer=read_json,
            connect_args={"prepared_statement_name_func": lambda: "" if self._pooled else None},
            execution_options={SQL_LOG: self._logs.statement},
            **options,
        )
        sa.event.listen(engine.sync_engine, "checkout", _refuse_closed)
        sa.event.listen(engine.sync_engine, "before_cursor_execute", self._logs.executed)
        return engine

    @property
    def place(self) -> dict[str, str]:
        """Where the database is: the data folder of an embedded one, else host, port, database and user."""
        if isinstance(self.database, EmbeddedPostgres):
            return {"data_dir": str(self.database.data_dir)}
        return place_of(self.database)

    async def listen(self) -> asyncpg.Connection:
        """A connection outside the pool, for LISTEN; the caller closes it.

        Raises:
            OSError, asyncpg.PostgresError, DatabaseOperationError: It could not be made.
        """
        url = await self.ready()
        return await connect(self.listen_url or url, work=self._work)

    async def pooled(self) -> asyncpg.Connection:
        """For all work."""
        connection = await self._opened(statement_cache_size=0 if self._pooled else _STATEMENTS)
        # As the server prints them: the driver's own Decimals of whole numbers can be 5E+4.
        await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=Decimal)
        return connection

    async def sender(self) -> asyncpg.Connection:
        """For news that is sent."""
        return await self._opened(self.listen_url)

    async def reader(self) -> asyncpg.Connection:
        """For what is printed as it is stored."""
        connection = await self.pooled()
        # Not as a startup parameter: pgbouncer refuses those that it does not know. Nor behind a pooler: others would
        # inherit it with the server's connection. The wait for rows is bounded here as well.
        if self._read_timeout is not None and not self._pooled:
            await connection.execute(f"SET statement_timeout = {int(self._read_timeout * 1000)}")
        return connection

    async def _opened(self, url: str | None = None, **options: Any) -> asyncpg.Connection:
        database = await self.ready()
        connection = await connect(
            url or database,
            work=self._work,
            command_timeout=_ANSWER_SECONDS,
            connection_class=_Connection,
            **options,
        )
        self._open.add(connection)
        return connection

    async def ready(self) -> str:
        """The URL of the database, which is up and migrated.

        Raises:
            DatabaseUnavailable: It can't be reached or started, or these were closed.
            DatabaseOperationError: It can't be migrated.
        """
        async with self._preparing:
            if self.closed:
                raise DatabaseUnavailable("these database operations were closed; get new ones")
            url = self.database if isinstance(self.database, str) else await self.database.start()
            if not self._prepared:
                if self._migrating:
                    await migrate(url)
                self._pooled = await is_pooled(url)
                self._prepared = True
            return url

    def terminate(self) -> None:
        """End all at once: one after the other they would wait long for a server that is frozen or out of reach."""
        self.closed = True
        for connection in list(self._open):
            connection.terminate()


def _refuse_closed(connection: Any, *_: object) -> None:
    # The driver knows of a server that went away, at no cost; a ping before each use would be one more round trip.
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
