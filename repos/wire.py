"""Connections that leave values as PostgreSQL sends them: numbers as text, instants as integers.

To make Decimals and datetimes of a page that is printed at once takes most of a request's time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

from repos.hot import Hot

_CLOSING_SECONDS = 1.0


class WireConnections:
    """Pooled connections, at most `size`, on which numeric is plain text and timestamptz microseconds since 2000."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        size: int,
        patience: float,
        log: Callable[[str], None] | None = None,
    ) -> None:
        """`connect` opens one; a caller waits `patience` seconds for one that is free; `log` is told each statement."""
        self._connect = connect
        self._size = size
        self._patience = patience
        self._log = log
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None

    async def fetch(self, statement: Hot, parameters: dict[str, Any]) -> list[asyncpg.Record]:
        """The rows. One statement is one transaction.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: The database failed.
        """
        if self._log is not None:
            self._log(statement.text)
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0, max_size=self._size, connect=self._open, init=_leave_values_alone, reset=_nothing
                )
        async with self._pool.acquire(timeout=self._patience) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement.text, *statement.arguments(parameters))
            return rows

    async def close(self) -> None:
        if self._pool is not None:
            with suppress(TimeoutError):  # those still in use are cut off
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await self._pool.close()

    async def _open(self, *_: object, **__: object) -> asyncpg.Connection:
        return await self._connect()


async def _leave_values_alone(connection: asyncpg.Connection) -> None:
    where = {"schema": "pg_catalog"}
    await connection.set_builtin_type_codec("numeric", **where, codec_name="text", format="text")
    await connection.set_builtin_type_codec("timestamptz", **where, codec_name="int8", format="binary")


async def _nothing(_: asyncpg.Connection) -> None:
    """Reads leave nothing to reset."""
