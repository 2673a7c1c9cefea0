"""The tape: the trades of each symbol, every one once, in an order that readers can follow."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from repos.arrays import arrays, filled, typed
from repos.base import BaseRepository
from repos.decode import decode_trade
from repos.domain import DataType, Trade, TradeRecord
from repos.feed.bus import Bus
from repos.feed.news import Tape, TradeNews
from repos.hot import Hot
from repos.raw_rows import FIELDS, rows_of, values_of
from repos.tables import raw_trades as t
from repos.tables import tapes

_KEY = ("exchange", "symbol")
_TYPE = DataType.TRADE.value
_TRADE = (t.c.id, t.c.exchange, t.c.symbol, t.c.raw_data)


def _insert() -> sa.ClauseElement:
    incoming = rows_of()
    # The stored row with the smallest id that is not below this one is the only one that can cover it.
    same = (t.c.exchange == incoming.c.exchange, t.c.symbol == incoming.c.symbol)
    cover = sa.select(t.c.first_trade_id).where(*same, t.c.trade_id >= incoming.c.trade_id).order_by(t.c.trade_id)
    uncovered = sa.func.coalesce(cover.limit(1).scalar_subquery() > incoming.c.trade_id, sa.true())
    new = insert(t).from_select(list(FIELDS), sa.select(*values_of(incoming)).where(uncovered))
    return new.on_conflict_do_nothing().returning(t.c.id, t.c.exchange, t.c.symbol, t.c.trade_id)


_INSERT = Hot(_insert())
_tape_rows = arrays(typed(tapes, _KEY))
_ended = arrays(typed(tapes, (*_KEY, "last_id")))
_CREATE_TAPES = insert(tapes).from_select(["exchange", "symbol"], sa.select(_tape_rows)).on_conflict_do_nothing()
_TAPES = (
    sa.select(tapes.c.exchange, tapes.c.symbol, tapes.c.last_id)
    .where(sa.tuple_(tapes.c.exchange, tapes.c.symbol).in_(sa.select(_tape_rows)))
    .order_by(tapes.c.exchange, tapes.c.symbol)
)
_LOCK_TAPES = _TAPES.with_for_update()
_ADVANCE_TAPES = (
    sa.update(tapes)
    .where(tapes.c.exchange == _ended.c.exchange, tapes.c.symbol == _ended.c.symbol)
    .values(last_id=_ended.c.last_id)
)


def _of(exchange: str, symbol: str) -> list[sa.ColumnElement[bool]]:
    return [t.c.exchange == exchange, t.c.symbol == symbol, t.c.trade_id.is_not(None)]


def _once(trades: Sequence[Trade]) -> list[Trade]:
    """`trades` of one symbol, ascending by id, without those whose ids lie inside another's."""
    kept: list[Trade] = []
    for trade in sorted(trades, key=lambda trade: (-trade.trade_id, trade.first_id)):
        if not kept or trade.trade_id < kept[-1].first_id:
            kept.append(trade)
    kept.reverse()
    return kept


class TapeRepository(BaseRepository):
    """Stored trades, whichever channel brought them."""

    def __init__(self, engine: AsyncEngine, bus: Bus, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__(engine, bus, logger)
        self._known: set[Tape] = set()

    async def insert(self, records: Sequence[TradeRecord]) -> list[Trade]:
        """Store trades in one transaction and return those that are new, ascending by id within a symbol.

        Left out are trades stored before and matches inside the range of a stored aggregated trade. The tape's row is
        locked first, so that rows of one symbol commit in the order of their ids and a reader can resume after an id.

        Raises:
            DatabaseOperationError: The database failed; nothing was stored.
        """
        given: dict[Tape, dict[tuple[int, int], TradeRecord]] = {}
        for record in records:
            trade = record.trade
            given.setdefault(Tape(trade.exchange, trade.symbol), {}).setdefault((trade.trade_id, trade.count), record)
        if not given:
            return []
        keys = sorted(given)
        rows: list[tuple[object, ...]] = []
        trades: dict[tuple[str, str, int], Trade] = {}
        for key in keys:
            for trade in _once([record.trade for record in given[key].values()]):
                trades[*key, trade.trade_id] = trade
                text = given[key][trade.trade_id, trade.count].raw
                rows.append((*key, trade.timestamp, _TYPE, text, trade.trade_id, trade.first_id))
        stored: dict[Tape, list[Trade]] = {}
        ends: dict[Tape, int] = {}
        async with self._transaction(f"storing {len(rows)} trades") as connection:
            # As with series (repos.revisions): created before any is locked.
            if not self._known.issuperset(keys):
                await connection.execute(_CREATE_TAPES, filled(_KEY, keys))
            locked = (await connection.execute(_LOCK_TAPES, filled(_KEY, keys))).all()
            before = {Tape(row[0], row[1]): row[2] for row in locked}
            for row_id, exchange, symbol, trade_id in await _INSERT.fetch(connection, filled(FIELDS, rows)):
                key = Tape(exchange, symbol)
                stored.setdefault(key, []).append(trades[exchange, symbol, trade_id])
                ends[key] = max(row_id, ends.get(key, 0))
            if stored:
                await connection.execute(
                    _ADVANCE_TAPES, filled((*_KEY, "last_id"), [(*key, end) for key, end in ends.items()])
                )
                for found in stored.values():
                    found.sort(key=lambda trade: trade.trade_id)
                news = [TradeNews(key, before[key], ends[key], found) for key, found in stored.items()]
                await self._bus.announce(connection, *news)
        self._known.update(keys)
        return [trade for found in stored.values() for trade in found]

    async def between(self, exchange: str, symbol: str, start: datetime, end: datetime) -> list[Trade]:
        """The trades of [start, end), ascending by id, no match twice: those inside an aggregated one are left out."""
        # The data type lets an index find them.
        inside = (t.c.data_type == DataType.TRADE.value, t.c.timestamp >= start, t.c.timestamp < end)
        query = sa.select(*_TRADE).where(*_of(exchange, symbol), *inside)
        async with self._transaction(f"reading trades of {exchange} {symbol}") as connection:
            rows = await connection.execute(query)
            return _once([decode_trade(exchange, symbol, row[3]) for row in rows])

    async def has(self, exchange: str, symbol: str, trade_id: int) -> bool:
        """Whether that match is stored, by itself or inside an aggregated trade."""
        conditions = [*_of(exchange, symbol), t.c.trade_id >= trade_id]
        query = sa.select(t.c.first_trade_id).where(*conditions).order_by(t.c.trade_id).limit(1)
        async with self._transaction(f"looking for trade {trade_id} of {exchange} {symbol}") as connection:
            first = (await connection.execute(query)).scalar_one_or_none()
        return first is not None and first <= trade_id

    async def last(self, exchange: str, symbol: str) -> Trade | None:
        """The stored trade with the highest id."""
        query = sa.select(*_TRADE).where(*_of(exchange, symbol)).order_by(t.c.trade_id.desc()).limit(1)
        async with self._transaction(f"reading the last trade of {exchange} {symbol}") as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else decode_trade(exchange, symbol, row[3])

    async def after(self, exchange: str, symbol: str, row: int, limit: int) -> list[tuple[int, Trade]]:
        """At most `limit` trades stored after the row `row`, with their rows' ids, in the order of writing."""
        query = sa.select(*_TRADE).where(*_of(exchange, symbol), t.c.id > row).order_by(t.c.id).limit(limit)
        async with self._transaction(f"reading the tape of {exchange} {symbol}") as connection:
            return [(row[0], decode_trade(exchange, symbol, row[3])) for row in await connection.execute(query)]

    async def newest(self, exchange: str, symbol: str, limit: int) -> tuple[list[Trade], int]:
        """The newest `limit` trades in the order of writing, and the id of the tape's last row (0: none)."""
        newest = sa.select(*_TRADE).where(*_of(exchange, symbol)).order_by(t.c.id.desc()).limit(limit).subquery()
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
            return {Tape(row[0], row[1]): row[2] for row in await connection.execute(_TAPES, filled(_KEY, keys))}
