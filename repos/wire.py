"""Candles as PostgreSQL sends them: prices as text, instants as integers, and decoded only for who wants that.

To make Decimals and datetimes of a page that is printed at once takes most of a request's time. So pages are read on
connections of their own, whose codecs leave the values alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, overload

import asyncpg

from repos.domain import Candle, Series
from repos.revisions import candle_of

_ZERO = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CLOSING_SECONDS = 1.0


def micros(moment: datetime) -> int:
    """`moment` as PostgreSQL counts: microseconds since 2000."""
    return (moment - _ZERO) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    return _ZERO + timedelta(microseconds=micros)


class WireConnections:
    """Pooled connections, at most `size`, on which numeric is plain text and timestamptz microseconds since 2000."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], size: int, patience: float) -> None:
        self._connect = connect
        self._size = size
        self._patience = patience
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows. One statement is one transaction.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: The database failed.
        """
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0, max_size=self._size, connect=self._open, init=_leave_values_alone, reset=_nothing
                )
        async with self._pool.acquire(timeout=self._patience) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
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


class StoredCandles(Sequence[Candle]):
    """Candles of one series, decoded one by one as they are read.

    `records` are their raw rows, in the same order: each has the columns of repos.revisions from FIRST on.
    """

    FIRST = 4

    __slots__ = ("records", "series")

    def __init__(self, series: Series, records: Sequence[Sequence[Any]]) -> None:
        self.series = series
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Candle: ...
    @overload
    def __getitem__(self, index: slice) -> "StoredCandles": ...
    def __getitem__(self, index: int | slice) -> "Candle | StoredCandles":
        if isinstance(index, slice):
            return StoredCandles(self.series, self.records[index])
        start, *prices, trade_count, origin = self.records[index][self.FIRST :]
        return candle_of(self.series, (moment_of(start), *map(Decimal, prices), trade_count, origin))
