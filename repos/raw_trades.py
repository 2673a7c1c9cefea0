"""Raw exchange data: whatever a channel sent, whole."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from repos import keyset
from repos.base import BaseRepository
from repos.decode import decode_trade
from repos.domain import (
    DataType,
    InvalidValue,
    MarketDataPoint,
    Page,
    RawTrade,
    TradeRecord,
    check_range,
    data_type_named,
    instant,
    label,
    not_ahead,
)
from repos.json_text import exchange_text, json_text
from repos.raw_rows import FIELDS, filled_rows, rows_of
from repos.tables import raw_trades as t
from repos.tape import TapeRepository

RAW_BYTES = 1_048_576
"""Of one object, as JSON."""

_COLUMNS = (
    t.c.id,
    t.c.timestamp,
    t.c.exchange,
    t.c.symbol,
    t.c.data_type,
    t.c.raw_data,
    t.c.trade_id,
    t.c.received_at,
)


def _insert_new() -> sa.Executable:
    incoming = rows_of()
    same = (t.c[name] == incoming.c[name] for name in FIELDS[:5])
    known = sa.exists(sa.select(sa.literal(1)).where(*same))
    return insert(t).from_select(list(FIELDS), sa.select(incoming).where(~known)).returning(t.c.id)


_INSERT = insert(t).from_select(list(FIELDS), sa.select(rows_of()))
_INSERT_NEW = _insert_new()


def _raw_trade(row: Sequence[Any]) -> RawTrade:
    id_, timestamp, exchange, symbol, data_type, raw_data, trade_id, received_at = row
    trade = None
    if trade_id is not None and isinstance(raw_data, Mapping):
        with suppress(InvalidValue):  # written by somebody else; it is shown as it is
            trade = decode_trade(exchange, symbol, raw_data)
    if raw_data is None:
        raw_data = "null"  # GraphQL has no place for it: the field is never null
    return RawTrade(id_, exchange, symbol, timestamp, data_type, raw_data, trade, received_at)


def _of(
    exchange: str, symbol: str, data_type: str, start: datetime | None, end: datetime | None
) -> list[sa.ColumnElement[bool]]:
    check_range(start, end)
    conditions = [t.c.exchange == exchange, t.c.symbol == symbol, t.c.data_type == data_type_named(data_type)]
    if start is not None:
        conditions.append(t.c.timestamp >= start)
    if end is not None:
        conditions.append(t.c.timestamp < end)
    return conditions


class RawTradeRepository(BaseRepository):
    """Rows of raw exchange data, kept whole. Trades among them belong to the tape, which stores each once."""

    def __init__(
        self, engine: AsyncEngine, logger: structlog.typing.FilteringBoundLogger, tape: TapeRepository
    ) -> None:
        super().__init__(engine, logger)
        self._tape = tape

    async def insert_market_data_point(self, point: MarketDataPoint) -> bool:
        """Store one object as the exchange sent it; False when it is a trade that was stored before.

        Raises:
            InvalidValue: The data can't be stored as JSON, is longer than RAW_BYTES, or is a trade of another instant
                than the point's, or of one more than a minute ahead of the clock.
            DatabaseOperationError: The database failed.
        """
        return await self.insert_raw_websocket_data(
            point.exchange, point.symbol, point.data_type.value, point.data, point.timestamp
        )

    async def insert_raw_websocket_data(
        self, exchange: str, symbol: str, data_type: str, raw_data: object, timestamp: datetime | None = None
    ) -> bool:
        """Store any object under any data type; `timestamp` defaults to the trade's own, or else to now.

        A name of DataType's counts in any case.

        An object of data type "trade" that can be decoded counts as a trade: it is stored once.

        Raises:
            InvalidValue, DatabaseOperationError: As insert_market_data_point.
        """
        label("exchange", exchange), label("symbol", symbol)
        data_type = data_type_named(data_type)
        if raw_data is None:
            raise InvalidValue("raw_data", "None is no data")
        text = json_text("raw_data", raw_data)
        if len(text.encode()) > RAW_BYTES:
            raise InvalidValue("raw_data", f"it takes {len(text.encode()):,} bytes, more than {RAW_BYTES:,}")
        if timestamp is not None:
            timestamp = instant("timestamp", timestamp)
        if data_type == DataType.TRADE.value and isinstance(raw_data, Mapping) and "tradeId" in raw_data:
            trade = decode_trade(exchange, symbol, raw_data)
            if timestamp not in (None, trade.timestamp):
                problem = f"{timestamp} is not the trade's own, {trade.timestamp.isoformat()}"
                raise InvalidValue("timestamp", problem)
            # Candles are folded from it, and one from the future would end the life of theirs.
            not_ahead("ts", trade.timestamp)
            return bool(await self._tape.insert([TradeRecord(trade, text)]))
        row = (exchange, symbol, timestamp or datetime.now(UTC), data_type, text, None, None)
        async with self._transaction(f"storing {data_type} data of {exchange} {symbol}") as connection:
            await connection.execute(_INSERT, filled_rows([row]))
        return True

    async def insert_points(self, points: Sequence[MarketDataPoint]) -> int:
        """Store objects of channels other than trades, each once, in one transaction; how many were new."""
        if not points:
            return 0
        rows = [
            (p.exchange, p.symbol, p.timestamp, p.data_type.value, exchange_text("data", p.data), None, None)
            for p in points
        ]
        async with self._transaction(f"storing {len(points)} points") as connection:
            return len((await connection.execute(_INSERT_NEW, filled_rows(rows))).all())

    async def get_raw_trades(
        self,
        symbol: str,
        data_type: str,
        start_time: datetime,
        end_time: datetime,
        exchange: str = "okx",
        limit: int | None = None,
    ) -> list[RawTrade]:
        """Rows of that data type with a timestamp in [start_time, end_time), oldest first, at most `limit`.

        Raises:
            InvalidValue: start_time is after end_time, or limit is negative.
            DatabaseOperationError: The database failed.
        """
        conditions = _of(exchange, symbol, data_type, start_time, end_time)
        query = sa.select(*_COLUMNS).where(*conditions).order_by(t.c.timestamp, t.c.id).limit(limit)
        async with self._transaction(f"reading {data_type} data of {exchange} {symbol}") as connection:
            return [_raw_trade(row) for row in await connection.execute(query)]

    async def page(
        self,
        exchange: str,
        symbol: str,
        data_type: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        first: int | None = None,
        after: tuple[datetime, int] | None = None,
        last: int | None = None,
        before: tuple[datetime, int] | None = None,
    ) -> Page[RawTrade]:
        """A page of rows, oldest first; after and before are (timestamp, id). Neither first nor last: the newest 500.

        Raises:
            InvalidValue: start is after end, or first or last is wrong (repos.keyset.cut).
            DatabaseOperationError: The database failed.
        """
        cut = keyset.cut(first, last, after, before)
        conditions = _of(exchange, symbol, data_type, start, end)
        query = keyset.statement(_COLUMNS, [t.c.timestamp, t.c.id], conditions, cut)
        async with self._transaction(f"reading a page of {data_type} data of {exchange} {symbol}") as connection:
            found, has_next, has_previous = keyset.trimmed((await connection.execute(query)).all(), cut)
        return Page([_raw_trade(row) for row in found], has_next, has_previous)

    async def count(
        self,
        exchange: str,
        symbol: str,
        data_type: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> int:
        """How many rows of that data type have a timestamp in [start, end).

        Raises:
            InvalidValue: start is after end.
            DatabaseOperationError: The database failed.
        """
        query = sa.select(sa.func.count()).select_from(t).where(*_of(exchange, symbol, data_type, start, end))
        async with self._transaction(f"counting {data_type} data of {exchange} {symbol}") as connection:
            return int((await connection.execute(query)).scalar_one())
