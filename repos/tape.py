"""The tape: the trades of each symbol, every one once, in an order that readers can follow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from repos.arrays import arrays, filled, typed
from repos.base import BaseRepository
from repos.decode import decode_trade
from repos.domain import END_OF_TIME, EPOCH, DataType, InvalidValue, Trade, TradeRecord
from repos.feed.bus import Bus
from repos.feed.news import Tape, TradeNews
from repos.hot import Hot
from repos.raw_rows import FIELDS, filled_rows, rows_of
from repos.tables import raw_trades as t
from repos.tables import tapes

_KEY = ("exchange", "symbol")
_TYPE = DataType.TRADE.value
_PIECE = 100
"""Rows looked through at a time for one that can be read."""
_MOST_TOLD = 1_000
"""Unreadable rows that are counted and told; each read of a tape meets the same ones again."""
_TRADE = (t.c.id, t.c.exchange, t.c.symbol, t.c.raw_data)

_asked = arrays(typed(tapes, _KEY))
_CREATE = Hot(insert(tapes).from_select(list(_KEY), sa.select(_asked)).on_conflict_do_nothing())
_TAPES = (
    sa.select(tapes.c.exchange, tapes.c.symbol, tapes.c.last_id)
    .where(sa.tuple_(tapes.c.exchange, tapes.c.symbol).in_(sa.select(_asked)))
    .order_by(tapes.c.exchange, tapes.c.symbol)
)
_LOCK = Hot(_TAPES.with_for_update())
_highest = sa.select(sa.func.max(t.c.trade_id)).where(t.c.exchange == _asked.c.exchange, t.c.symbol == _asked.c.symbol)
_HIGHEST = Hot(sa.select(_asked, sa.func.coalesce(_highest.scalar_subquery(), -1)))


def _identities(rows: sa.CTE) -> tuple[sa.ColumnElement[Any], ...]:
    return sa.func.array_agg(rows.c.trade_id), sa.func.array_agg(rows.c.timestamp)


def _insert(*, beyond: bool) -> sa.ClauseElement:
    """Stores rows and advances their tapes; `beyond`: their ids are higher than any stored, so nothing needs a look."""
    incoming = rows_of()
    rows = sa.select(incoming)
    if not beyond:
        # Its own row, or one of an aggregated trade that holds it: the same time, for the exchange may begin ids anew.
        same = (t.c.exchange == incoming.c.exchange, t.c.symbol == incoming.c.symbol, t.c.data_type == _TYPE)
        here = (t.c.timestamp == incoming.c.timestamp, t.c.trade_id >= incoming.c.trade_id)
        covers = sa.select(sa.true()).where(*same, *here, t.c.first_trade_id <= incoming.c.trade_id).limit(1)
        # A subquery, and not NOT EXISTS: a join would not keep the order of the rows.
        rows = rows.where(sa.func.coalesce(covers.scalar_subquery(), sa.false()).is_(sa.false()))
    new = insert(t).from_select(list(FIELDS), rows)
    if not beyond:
        new = new.on_conflict_do_nothing()
    stored = new.returning(t.c.id, t.c.exchange, t.c.symbol, t.c.trade_id, t.c.timestamp).cte("stored")
    key = (stored.c.exchange, stored.c.symbol)
    ends = (
        sa.select(*key, sa.func.max(stored.c.id).label("last_id"), *() if beyond else _identities(stored))
        .group_by(*key)
        .cte("ends")
    )
    same_tape = (tapes.c.exchange == ends.c.exchange, tapes.c.symbol == ends.c.symbol)
    advanced = sa.update(tapes).where(*same_tape).values(last_id=ends.c.last_id).cte("advanced")
    return sa.select(ends).add_cte(advanced)


_INSERT_BEYOND = Hot(_insert(beyond=True))
_INSERT_NEW = Hot(_insert(beyond=False))

_T = TypeVar("_T")


def _of(exchange: str, symbol: str) -> list[sa.ColumnElement[bool]]:
    return [t.c.exchange == exchange, t.c.symbol == symbol, t.c.trade_id.is_not(None)]


async def _store(
    connection: AsyncConnection, statement: Hot, batch: Mapping[Tape, Sequence[TradeRecord]]
) -> dict[Tape, tuple[int, list[Trade]]]:
    """Store trades by one of the two inserts: the last row's id and the new trades of each tape that has any."""
    if not batch:
        return {}
    stored = {}
    for exchange, symbol, last_id, *identities in await statement.fetch(connection, filled_rows(_rows(batch))):
        tape, new = Tape(exchange, symbol), set(zip(*identities, strict=True))
        trades = [trade for trade, _ in batch[tape]]
        # Without identities all are new.
        new_trades = [trade for trade in trades if (trade.trade_id, trade.timestamp) in new] if identities else trades
        stored[tape] = last_id, new_trades
    return stored


def _rows(batch: Mapping[Tape, Sequence[TradeRecord]]) -> Iterator[tuple[object, ...]]:
    """The batch in the order of FIELDS."""
    for tape, records in batch.items():
        for trade, raw in records:
            yield *tape, trade.timestamp, _TYPE, raw, trade.trade_id, trade.first_id


def _once(found: Sequence[_T], trade_of: Callable[[_T], Trade]) -> list[_T]:
    """What was `found` of one symbol, without those whose ids lie inside another's of the same time.

    Ascending by id, or, where that is not the order of their times throughout, by time and id.
    """
    last = -1
    latest = EPOCH
    for trade in map(trade_of, found):
        if trade.first_id <= last or trade.timestamp < latest:
            break
        last, latest = trade.trade_id, trade.timestamp
    else:
        return list(found)  # nearly always

    def order(one: _T) -> tuple[datetime, int, int]:
        trade = trade_of(one)
        return trade.timestamp, trade.trade_id, -trade.first_id

    kept: list[_T] = []
    for one in sorted(found, key=order, reverse=True):
        trade = trade_of(one)
        above = trade_of(kept[-1]) if kept else None
        if above is None or above.timestamp != trade.timestamp or trade.trade_id < above.first_id:
            kept.append(one)
    kept.reverse()
    return kept


class TapeRepository(BaseRepository):
    """Stored trades, whichever channel brought them."""

    def __init__(self, engine: AsyncEngine, bus: Bus, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__(engine, logger)
        self._bus = bus
        self.unreadable = 0
        """Rows met that are of a trade by their id, and hold none that can be read: others wrote them."""
        self._told: set[int] = set()
        self._created: set[Tape] = set()
        self._ends: dict[Tape, tuple[int, int]] = {}
        """The last row of a tape that this process wrote last, and the highest trade id stored at that time."""

    def forget(self) -> None:
        """The database is another, or an older one: what this process wrote may not be there."""
        self._created.clear()
        self._ends.clear()

    async def insert(self, records: Sequence[TradeRecord]) -> list[Trade]:
        """Store trades in one transaction and return those that are new, ascending by id within a symbol.

        Left out are trades stored before and matches inside the range of a stored aggregated trade. The tape's row is
        locked first, so that rows of one symbol commit in the order of their ids and a reader can resume after an id.

        Raises:
            DatabaseOperationError: The database failed; nothing was stored.
        """
        given: dict[tuple[str, str], list[TradeRecord]] = {}
        for record in records:
            given.setdefault((record.trade.exchange, record.trade.symbol), []).append(record)
        if not given:
            return []
        batch = {Tape(*key): _once(given[key], itemgetter(0)) for key in sorted(given)}
        asked = filled(_KEY, batch)
        async with self._hot_transaction(f"storing {sum(map(len, batch.values()))} trades") as connection:
            # As with series (repos.revisions): created before any is locked.
            if not self._created.issuperset(batch):
                await _CREATE.fetch(connection, asked)
            locked = await _LOCK.fetch(connection, asked)
            if len(locked) < len(batch):  # as there
                await _CREATE.fetch(connection, asked)
                locked = await _LOCK.fetch(connection, asked)
            before = {Tape(row[0], row[1]): row[2] for row in locked}
            highest = await self._highest_ids(connection, before)
            lowest = {tape: min(trade.first_id for trade, _ in some) for tape, some in batch.items()}
            beyond = {tape: some for tape, some in batch.items() if lowest[tape] > highest[tape]}
            others = {tape: some for tape, some in batch.items() if tape not in beyond}
            stored = {
                **await _store(connection, _INSERT_BEYOND, beyond),
                **await _store(connection, _INSERT_NEW, others),
            }
            news = [TradeNews(tape, before[tape], *stored[tape]) for tape in batch if tape in stored]
            await self._bus.announce(connection, *news)
        self._created.update(batch)
        for tape, (last_id, trades) in stored.items():
            self._ends[tape] = last_id, max(highest[tape], *(trade.trade_id for trade in trades))
        return [trade for tape in batch if tape in stored for trade in stored[tape][1]]

    async def _highest_ids(self, connection: AsyncConnection, before: dict[Tape, int]) -> dict[Tape, int]:
        """The highest stored trade id of each tape (-1: none). The tapes are locked and end with the rows `before`."""
        # A tape that still ends as this process left it holds what it held then. Forgotten until the write succeeds.
        known = {tape: self._ends.pop(tape, None) for tape in before}
        highest = {tape: end[1] for tape, end in known.items() if end is not None and end[0] == before[tape]}
        if unknown := before.keys() - highest:
            rows = await _HIGHEST.fetch(connection, filled(_KEY, unknown))
            highest |= {Tape(row[0], row[1]): row[2] for row in rows}
        return highest

    def _readable(self, rows: Sequence[Any]) -> list[tuple[int, Trade]]:
        """The trades of these rows of _TRADE, with their ids. What holds none is left out, counted, and told once."""
        found = []
        for row_id, exchange, symbol, raw, *_ in rows:
            try:
                found.append((row_id, decode_trade(exchange, symbol, raw)))
            except InvalidValue as error:
                if row_id not in self._told and len(self._told) < _MOST_TOLD:
                    self._told.add(row_id)
                    self.unreadable += 1
                    self._log.warning("A stored trade can't be read, and is left out", row=row_id, exchange=exchange,
                                      symbol=symbol, reason=str(error))  # fmt: skip
        return found

    async def between(self, exchange: str, symbol: str, start: datetime, end: datetime) -> list[Trade]:
        """The trades of [start, end), ascending by id, no match twice: those inside an aggregated one are left out."""
        # The data type lets an index find them.
        inside = (t.c.data_type == DataType.TRADE.value, t.c.timestamp >= start, t.c.timestamp < end)
        query = sa.select(*_TRADE).where(*_of(exchange, symbol), *inside)
        async with self._transaction(f"reading trades of {exchange} {symbol}") as connection:
            rows = (await connection.execute(query)).all()
        return _once([trade for _, trade in self._readable(rows)], lambda trade: trade)

    async def has(
        self, exchange: str, symbol: str, trade_id: int, after: datetime = EPOCH, before: datetime = END_OF_TIME
    ) -> bool:
        """Whether a match of this id that happened from `after` to `before` is stored, perhaps in an aggregate."""
        here = (t.c.trade_id >= trade_id, t.c.timestamp >= after, t.c.timestamp <= before)
        conditions = [*_of(exchange, symbol), *here]
        query = sa.select(t.c.first_trade_id).where(*conditions).order_by(t.c.trade_id).limit(1)
        async with self._transaction(f"looking for trade {trade_id} of {exchange} {symbol}") as connection:
            first = (await connection.execute(query)).scalar_one_or_none()
        return first is not None and first <= trade_id

    async def last(self, exchange: str, symbol: str, until: datetime = END_OF_TIME) -> Trade | None:
        """The latest stored trade that happened by `until`, of several at once that with the highest id."""
        here = (*_of(exchange, symbol), t.c.data_type == _TYPE, t.c.timestamp <= until)
        query = sa.select(*_TRADE).where(*here).order_by(t.c.timestamp.desc(), t.c.trade_id.desc())
        skipped, limit = 0, 1
        while True:
            async with self._transaction(f"reading the last trade of {exchange} {symbol}") as connection:
                rows = (await connection.execute(query.offset(skipped).limit(limit))).all()
            if (found := self._readable(rows)) or len(rows) < limit:
                return found[0][1] if found else None
            skipped, limit = skipped + limit, _PIECE

    async def after(self, exchange: str, symbol: str, row: int, limit: int) -> list[tuple[int, Trade]]:
        """At most `limit` trades stored after the row `row`, with their rows' ids, in the order of writing."""
        found: list[tuple[int, Trade]] = []
        while True:
            missing = limit - len(found)
            query = sa.select(*_TRADE).where(*_of(exchange, symbol), t.c.id > row).order_by(t.c.id).limit(missing)
            async with self._transaction(f"reading the tape of {exchange} {symbol}") as connection:
                rows = (await connection.execute(query)).all()
            found += self._readable(rows)
            if len(found) >= limit or len(rows) < missing:
                return found
            row = rows[-1].id

    async def newest(self, exchange: str, symbol: str, limit: int) -> tuple[list[Trade], int]:
        """The newest `limit` trades in the order of writing, and the id of the tape's last row (0: none)."""
        newest = sa.select(*_TRADE).where(*_of(exchange, symbol)).order_by(t.c.id.desc()).limit(limit).subquery()
        last_id = sa.select(tapes.c.last_id).where(tapes.c.exchange == exchange, tapes.c.symbol == symbol)
        head = sa.select(sa.func.coalesce(last_id.scalar_subquery(), 0).label("last_id")).subquery()
        query = sa.select(newest, head).select_from(head.outerjoin(newest, sa.true())).order_by(newest.c.id)
        async with self._transaction(f"reading the tape of {exchange} {symbol}") as connection:
            rows = (await connection.execute(query)).all()
        last = rows[0].last_id
        rows = [row for row in rows if row[0] is not None]
        found, asked = self._readable(rows), limit
        while len(found) < limit and len(rows) == asked:  # some can't be read: older ones take their places
            asked = limit - len(found)
            older = sa.select(*_TRADE).where(*_of(exchange, symbol), t.c.id < rows[0].id)
            async with self._transaction(f"reading the tape of {exchange} {symbol}") as connection:
                rows = (await connection.execute(older.order_by(t.c.id.desc()).limit(asked))).all()[::-1]
            found = self._readable(rows) + found
        return [trade for _, trade in found], last

    async def last_ids(self, keys: Sequence[Tape]) -> dict[Tape, int]:
        """The id of each tape's last row."""
        if not keys:
            return {}
        async with self._transaction(f"reading the ends of {len(keys)} tapes") as connection:
            return {Tape(row[0], row[1]): row[2] for row in await connection.execute(_TAPES, filled(_KEY, keys))}
