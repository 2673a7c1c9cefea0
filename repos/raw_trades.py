"""Raw exchange data: every trade once, and whatever else a channel sent."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from repos import keyset
from repos.base import BaseRepository
from repos.decode import decode_trade
from repos.domain import (
    DataType,
    InvalidValue,
    MarketDataPoint,
    Page,
    RawTrade,
    Trade,
    TradeRecord,
    instant,
    label,
)
from repos.feed.news import ANNOUNCED_ROWS, Tape, TradeNews
from repos.tables import raw_trades as t
from repos.tables import tapes

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
_TRADE = (t.c.id, t.c.exchange, t.c.symbol, t.c.raw_data)
_FIELDS = ("exchange", "symbol", "timestamp", "data_type", "raw_data", "trade_id", "first_trade_id")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def json_text(name: str, value: object) -> str:
    """`value` as JSON that PostgreSQL stores.

    Raises:
        InvalidValue: It holds something that JSON or PostgreSQL has no form for: NaN, a NUL, a lone surrogate,
            an integer beyond 64 bits.
    """
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError) as error:
        raise InvalidValue(name, f"not JSON: {error}") from error
    if _NUL.search(text):
        raise InvalidValue(name, "a NUL character can't be stored")
    return text


def _arrays() -> sa.TableValuedAlias:
    # JSON travels as text and is parsed by the server: a client-side codec would write every object twice.
    types = {name: sa.Text() if name == "raw_data" else t.c[name].type for name in _FIELDS}
    arrays = (sa.bindparam(name, type_=ARRAY(kind)) for name, kind in types.items())
    columns = (sa.column(name, kind) for name, kind in types.items())
    return sa.func.unnest(*arrays).table_valued(*columns, name="incoming").render_derived()


def _insert(new_only: bool) -> sa.Executable:
    incoming = _arrays()
    values = [incoming.c.raw_data.cast(JSONB) if name == "raw_data" else incoming.c[name] for name in _FIELDS]
    rows = sa.select(*values)
    if new_only:
        # The stored row with the smallest id that is not below this one is the only one that can cover it.
        same = (t.c.exchange == incoming.c.exchange, t.c.symbol == incoming.c.symbol)
        cover = sa.select(t.c.first_trade_id).where(*same, t.c.trade_id >= incoming.c.trade_id).order_by(t.c.trade_id)
        first = cover.limit(1).scalar_subquery()
        rows = rows.where(sa.func.coalesce(first > incoming.c.trade_id, sa.true()))
    into = insert(t).from_select(list(_FIELDS), rows).on_conflict_do_nothing()
    return into.returning(t.c.id, t.c.exchange, t.c.symbol, t.c.trade_id)


_INSERT = _insert(new_only=False)
_INSERT_TRADES = _insert(new_only=True)
_tape_rows = (
    sa.func.unnest(*(sa.bindparam(name, type_=ARRAY(sa.Text)) for name in ("exchange", "symbol")))
    .table_valued(sa.column("exchange", sa.Text), sa.column("symbol", sa.Text), name="incoming")
    .render_derived()
)
_CREATE_TAPES = insert(tapes).from_select(["exchange", "symbol"], sa.select(_tape_rows)).on_conflict_do_nothing()
_TAPES = (
    sa.select(tapes.c.exchange, tapes.c.symbol, tapes.c.last_id)
    .where(sa.tuple_(tapes.c.exchange, tapes.c.symbol).in_(sa.select(_tape_rows)))
    .order_by(tapes.c.exchange, tapes.c.symbol)
)
_ADVANCE_TAPE = (
    sa.update(tapes)
    .where(tapes.c.exchange == sa.bindparam("b_exchange"), tapes.c.symbol == sa.bindparam("b_symbol"))
    .values(last_id=sa.bindparam("b_last_id"))
)


def _names(keys: Sequence[Tape]) -> dict[str, list[str]]:
    return {"exchange": [key.exchange for key in keys], "symbol": [key.symbol for key in keys]}


def _raw_trade(row: Sequence[Any]) -> RawTrade:
    id_, timestamp, exchange, symbol, data_type, raw_data, trade_id, received_at = row
    trade = None if trade_id is None else decode_trade(exchange, symbol, raw_data)
    return RawTrade(id_, exchange, symbol, timestamp, data_type, raw_data, trade, received_at)


def _of(exchange: str, symbol: str) -> list[sa.ColumnElement[bool]]:
    return [t.c.exchange == exchange, t.c.symbol == symbol]


def _tape_of(exchange: str, symbol: str) -> list[sa.ColumnElement[bool]]:
    return [*_of(exchange, symbol), t.c.trade_id.is_not(None)]


def _range(start: datetime | None, end: datetime | None) -> list[sa.ColumnElement[bool]]:
    if start is not None and end is not None and start > end:
        raise InvalidValue("start", f"{start.isoformat()} is after end {end.isoformat()}")
    conditions: list[sa.ColumnElement[bool]] = []
    if start is not None:
        conditions.append(t.c.timestamp >= start)
    if end is not None:
        conditions.append(t.c.timestamp < end)
    return conditions


def _once(trades: Sequence[Trade]) -> list[Trade]:
    """`trades` of one symbol, ascending by id, without those whose ids lie inside another's."""
    kept: list[Trade] = []
    for trade in sorted(trades, key=lambda trade: (-trade.trade_id, trade.first_id)):
        if not kept or trade.trade_id < kept[-1].first_id:
            kept.append(trade)
    kept.reverse()
    return kept


class RawTradeRepository(BaseRepository):
    """Rows of raw exchange data, kept whole. A trade is stored once, whichever channel brought it."""

    async def insert_market_data_point(self, point: MarketDataPoint) -> bool:
        """Store one object as the exchange sent it; False when it is a trade that was stored before.

        Raises:
            InvalidValue: The data can't be stored as JSON, or is a trade of another instant than the point's.
            DatabaseOperationError: The database failed.
        """
        return await self.insert_raw_websocket_data(
            point.exchange, point.symbol, point.data_type.value, point.data, point.timestamp
        )

    async def insert_raw_websocket_data(
        self, exchange: str, symbol: str, data_type: str, raw_data: object, timestamp: datetime | None = None
    ) -> bool:
        """Store any object under any data type; `timestamp` defaults to the trade's own, or else to now.

        An object of data type "trade" that can be decoded counts as a trade: it is stored once.

        Raises:
            InvalidValue, DatabaseOperationError: As insert_market_data_point.
        """
        label("exchange", exchange), label("symbol", symbol), label("data_type", data_type)
        text = json_text("raw_data", raw_data)
        if timestamp is not None:
            timestamp = instant("timestamp", timestamp)
        if data_type == DataType.TRADE.value and isinstance(raw_data, Mapping) and "tradeId" in raw_data:
            trade = decode_trade(exchange, symbol, raw_data)
            if timestamp not in (None, trade.timestamp):
                problem = f"{timestamp} is not the trade's own, {trade.timestamp.isoformat()}"
                raise InvalidValue("timestamp", problem)
            return bool(await self.insert_trades([TradeRecord(trade, text)]))
        arrays = [exchange], [symbol], [timestamp or datetime.now(UTC)], [data_type], [text], [None], [None]
        async with self._transaction(f"storing {data_type} data of {exchange} {symbol}") as connection:
            await connection.execute(_INSERT, dict(zip(_FIELDS, arrays, strict=True)))
        return True

    async def insert_points(self, points: Sequence[MarketDataPoint]) -> int:
        """Store objects of channels other than trades, in one transaction; how many."""
        if not points:
            return 0
        rows = [
            (p.exchange, p.symbol, p.timestamp, p.data_type.value, json_text("data", p.data), None, None)
            for p in points
        ]
        arrays = dict(zip(_FIELDS, (list(column) for column in zip(*rows, strict=True)), strict=True))
        async with self._transaction(f"storing {len(points)} points") as connection:
            await connection.execute(_INSERT, arrays)
        return len(points)

    async def insert_trades(self, records: Sequence[TradeRecord]) -> list[Trade]:
        """Store trades in one transaction and return those that are new, ascending by id within a symbol.

        Left out are trades stored before and matches inside the range of a stored aggregated trade. The tape's row is
        locked first, so that rows of one symbol commit in the order of their ids and a reader can resume after an id.

        Raises:
            DatabaseOperationError: The database failed; nothing was stored.
        """
        by_tape: dict[Tape, dict[Trade, str]] = {}
        for trade, text in records:
            by_tape.setdefault(Tape(trade.exchange, trade.symbol), {})[trade] = text
        if not by_tape:
            return []
        keys = sorted(by_tape)
        rows = [
            (*key, trade.timestamp, DataType.TRADE.value, by_tape[key][trade], trade.trade_id, trade.first_id)
            for key in keys
            for trade in _once(list(by_tape[key]))
        ]
        arrays = dict(zip(_FIELDS, (list(column) for column in zip(*rows, strict=True)), strict=True))
        trades = {(*key, trade.trade_id): trade for key in keys for trade in reversed(_once(list(by_tape[key])))}
        stored: dict[Tape, list[Trade]] = {}
        last_ids: dict[Tape, int] = {}
        async with self._transaction(f"storing {len(rows)} trades") as connection:
            await connection.execute(_CREATE_TAPES, _names(keys))
            locked = await connection.execute(_TAPES.with_for_update(), _names(keys))
            previous = {Tape(row[0], row[1]): row[2] for row in locked}
            for id_, exchange, symbol, trade_id in await connection.execute(_INSERT_TRADES, arrays):
                key = Tape(exchange, symbol)
                stored.setdefault(key, []).append(trades[exchange, symbol, trade_id])
                last_ids[key] = max(id_, last_ids.get(key, 0))
            news = []
            for key, last_id in last_ids.items():
                names = {"b_exchange": key.exchange, "b_symbol": key.symbol, "b_last_id": last_id}
                await connection.execute(_ADVANCE_TAPE, names)
                stored[key].sort(key=lambda trade: trade.trade_id)
                told = stored[key] if len(stored[key]) <= ANNOUNCED_ROWS else None
                news.append(TradeNews(key, previous[key], last_id, told))
            await self._bus.announce(connection, *news)
        return [trade for trades_of in stored.values() for trade in trades_of]

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
        if limit is not None and limit < 0:
            raise InvalidValue("limit", f"{limit} is negative")
        conditions = [*_of(exchange, symbol), t.c.data_type == data_type, *_range(start_time, end_time)]
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
        conditions = [*_of(exchange, symbol), t.c.data_type == data_type, *_range(start, end)]
        query = keyset.statement(_COLUMNS, [t.c.timestamp, t.c.id], conditions, cut)
        async with self._transaction(f"reading a page of {data_type} data of {exchange} {symbol}") as connection:
            found, has_next, has_previous = keyset.trimmed((await connection.execute(query)).all(), cut)
        return Page([_raw_trade(row) for row in found], has_next, has_previous)

    async def trades_between(self, exchange: str, symbol: str, start: datetime, end: datetime) -> list[Trade]:
        """The trades of [start, end), ascending by id, no match twice: those inside an aggregated one are left out."""
        conditions = [*_of(exchange, symbol), t.c.data_type == DataType.TRADE.value, *_range(start, end)]
        query = sa.select(*_TRADE).where(*conditions, t.c.trade_id.is_not(None))
        async with self._transaction(f"reading trades of {exchange} {symbol}") as connection:
            rows = await connection.execute(query)
            return _once([decode_trade(exchange, symbol, row[3]) for row in rows])

    async def has_trade(self, exchange: str, symbol: str, trade_id: int) -> bool:
        """Whether that match is stored, by itself or inside an aggregated trade."""
        conditions = [*_tape_of(exchange, symbol), t.c.trade_id >= trade_id]
        query = sa.select(t.c.first_trade_id).where(*conditions).order_by(t.c.trade_id).limit(1)
        async with self._transaction(f"looking for trade {trade_id} of {exchange} {symbol}") as connection:
            first = (await connection.execute(query)).scalar_one_or_none()
        return first is not None and first <= trade_id

    async def last_trade(self, exchange: str, symbol: str) -> Trade | None:
        """The stored trade with the highest id."""
        query = sa.select(*_TRADE).where(*_tape_of(exchange, symbol)).order_by(t.c.trade_id.desc()).limit(1)
        async with self._transaction(f"reading the last trade of {exchange} {symbol}") as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else decode_trade(exchange, symbol, row[3])

    async def tape(self, exchange: str, symbol: str, *, after: int, limit: int) -> list[tuple[int, Trade]]:
        """At most `limit` trades stored after the row `after`, with their rows' ids, in the order of writing."""
        query = sa.select(*_TRADE).where(*_tape_of(exchange, symbol), t.c.id > after).order_by(t.c.id).limit(limit)
        async with self._transaction(f"reading the tape of {exchange} {symbol}") as connection:
            return [(row[0], decode_trade(exchange, symbol, row[3])) for row in await connection.execute(query)]

    async def newest_tape(self, exchange: str, symbol: str, limit: int) -> tuple[list[Trade], int]:
        """The newest `limit` trades in the order of writing, and the id of the tape's last row (0: none)."""
        newest = sa.select(*_TRADE).where(*_tape_of(exchange, symbol)).order_by(t.c.id.desc()).limit(limit).subquery()
        last_id = sa.select(tapes.c.last_id).where(tapes.c.exchange == exchange, tapes.c.symbol == symbol)
        head = sa.select(sa.func.coalesce(last_id.scalar_subquery(), 0).label("last_id")).subquery()
        query = sa.select(newest, head).select_from(head.outerjoin(newest, sa.true())).order_by(newest.c.id)
        async with self._transaction(f"reading the tape of {exchange} {symbol}") as connection:
            rows = (await connection.execute(query)).all()
        return [decode_trade(exchange, symbol, row[3]) for row in rows if row[0] is not None], rows[0].last_id

    async def last_ids(self, keys: Sequence[Tape]) -> dict[Tape, int]:
        """The id of each tape's last row."""
        if not keys:
            return {}
        async with self._transaction(f"reading the ends of {len(keys)} tapes") as connection:
            return {Tape(row[0], row[1]): row[2] for row in await connection.execute(_TAPES, _names(keys))}
