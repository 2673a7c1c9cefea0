"""Connections that leave values as PostgreSQL sends them: numbers as text, instants as integers.

To make Decimals and datetimes of a page that is printed at once takes most of a request's time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from repos.hot import Hot


class WireConnections:
    """At most `size` connections on which numeric is plain text and timestamptz microseconds since 2000.

    They are for reads, so nothing has to be reset between two; the one used last, whose caches are warm, comes first.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        size: int,
        patience: float,
        log: Callable[[str], None],
    ) -> None:
        """`connect` opens one; a caller waits `patience` seconds for one that is free, and as long for rows; `log` is
        told each statement."""
        self._connect = connect
        self._patience = patience
        self._log = log
        self._free: asyncio.LifoQueue[asyncpg.Connection | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)

    async def fetch(
        self, statement: Hot, parameters: dict[str, Any], record_class: type[asyncpg.Record] | None = None
    ) -> list[Any]:
        """The rows. One statement is one transaction.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: The database failed.
        """
        self._log(statement.text)
        arguments = statement.arguments(parameters)
        connection = await self._taken()
        try:
            rows: list[Any] = await connection.fetch(
                statement.text, *arguments, timeout=self._patience, record_class=record_class
            )
        except BaseException as error:
            # One whose reader was cancelled would keep the next one waiting.
            self._give_back(connection, keep=isinstance(error, asyncpg.PostgresError) and not connection.is_closed())
            raise
        self._give_back(connection, keep=True)
        return rows

    async def _taken(self) -> asyncpg.Connection:
        if self._free.empty():
            async with asyncio.timeout(self._patience):
                connection = await self._free.get()
        else:
            connection = self._free.get_nowait()
        if connection is not None and not connection.is_closed():
            return connection
        try:
            connection = await self._connect()
            await _leave_values_alone(connection)
        except BaseException:
            self._give_back(connection, keep=False)
            raise
        return connection

    def _give_back(self, connection: asyncpg.Connection | None, *, keep: bool) -> None:
        if connection is not None and not keep:
            connection.terminate()
        self._free.put_nowait(connection if keep else None)


async def _leave_values_alone(connection: asyncpg.Connection) -> None:
    where = {"schema": "pg_catalog"}
    await connection.set_builtin_type_codec("numeric", **where, codec_name="text", format="text")
    await connection.set_builtin_type_codec("timestamptz", **where, codec_name="int8", format="binary")
