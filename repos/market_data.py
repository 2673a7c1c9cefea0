"""Candles: the one upsert that every writer uses, and the reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.typing import FilteringBoundLogger

from repos import keyset
from repos.arrays import arrays, filled, typed
from repos.base import BaseRepository
from repos.candle_queries import between, columns_statement, of, page_statement, states_statement
from repos.domain import Candle, InvalidValue, Market, Page, Series, Timeframe, check_range
from repos.events import Position
from repos.feed.bus import Bus
from repos.revisions import COLUMNS, KEY, candle_of, write
from repos.tables import market_data as t
from repos.tables import series as s
from repos.wire import StoredCandles, WireConnections, micros, moment_of


@dataclass(frozen=True, slots=True)
class CandlePage(Page[Candle]):
    """`position` is where a reader of this page stands: it has seen everything written before the page was read."""

    position: Position


@dataclass(frozen=True, slots=True)
class CandleColumns:
    """Columns of equal length, oldest first; `time` is the start in ms since 1970. Floats, lossy on purpose."""

    series: Series
    time: list[float]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    trade_count: list[int | None]
    truncated: bool
    position: Position


def _range(series: Series, start: datetime | None, end: datetime | None) -> list[sa.ColumnElement[bool]]:
    check_range(start, end)
    return between(series, start, end)


class MarketDataRepository(BaseRepository):
    """Stored candles, which are final. Ranges are half-open [start, end) over start times."""

    def __init__(self, engine: AsyncEngine, bus: Bus, logger: FilteringBoundLogger, wire: WireConnections) -> None:
        super().__init__(engine, bus, logger)
        self._wire = wire
        self._known: set[Series] = set()

    async def upsert_candle(self, candle: Candle, force_update: bool = False) -> bool:
        """Store a candle; whether a row was written.

        Without `force_update` a stored candle stays as it is, except that a fold of trades revises an earlier one.

        Raises:
            DatabaseOperationError: The database failed; nothing was written.
        """
        return bool(await self.upsert_candles([candle], force_update))

    async def upsert_candles(self, batch: Sequence[Candle], force_update: bool = False) -> list[Candle]:
        """Store candles in one transaction and return those written; of a key given twice the last wins.

        Each series that changes takes one new revision, saved and announced with the rows. Its row in `series` is
        locked first, in key order: writers of one series queue, so its revisions commit in order and without a hole.

        Raises:
            InvalidValue: A candle is still forming.
            DatabaseOperationError: The database failed; nothing was written.
        """
        if not batch:
            return []
        given: dict[tuple[str, str, Timeframe], dict[datetime, Candle]] = {}
        for candle in batch:
            if not candle.is_final:
                raise InvalidValue("is_final", f"{candle.series} at {candle.start_time.isoformat()} is still forming")
            given.setdefault((candle.exchange, candle.symbol, candle.timeframe), {})[candle.start_time] = candle
        candles = {Series(*key): given[key] for key in sorted(given)}
        async with self._hot_transaction(f"storing {len(batch)} candles, the first of {batch[0].series}") as connection:
            written = await write(connection, candles, force_update, self._known)
            await self._bus.announce(connection, *written)
        self._known.update(candles)
        for news in written:
            self._log.info(f"Stored candle: {news.series.symbol} {news.series.timeframe} at {news.last.isoformat()}")
        return [candle for news in written for candle in news.candles or ()]

    async def get_candles(
        self, symbol: str, timeframe: str, start_time: datetime, end_time: datetime, exchange: str = "okx"
    ) -> list[Candle]:
        """All candles that start in [start_time, end_time), oldest first.

        Raises:
            InvalidValue: A name or the timeframe is none, or start_time is after end_time.
            DatabaseOperationError: The database failed.
        """
        series = Series.of(exchange, symbol, timeframe)
        query = sa.select(*COLUMNS).where(*_range(series, start_time, end_time)).order_by(t.c.start_time)
        async with self._transaction(f"reading candles of {series}") as connection:
            return [candle_of(series, row) for row in await connection.execute(query)]

    async def get_candle(self, series: Series, start_time: datetime) -> Candle | None:
        """The stored candle that starts then."""
        query = sa.select(*COLUMNS).where(*of(series), t.c.start_time == start_time)
        async with self._transaction(f"reading a candle of {series}") as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else candle_of(series, row)

    async def get_latest_candle(self, symbol: str, timeframe: str, exchange: str = "okx") -> Candle | None:
        """The newest stored candle, or None.

        Raises:
            InvalidValue: A name or the timeframe is none.
            DatabaseOperationError: The database failed.
        """
        series = Series.of(exchange, symbol, timeframe)
        return (await self.latest([series])).get(series)

    async def latest(self, series: Sequence[Series]) -> dict[Series, Candle]:
        """The newest stored candle of each series that has one, in one statement."""
        return {key: candle for key, (candle, _) in (await self.states(series)).items() if candle is not None}

    async def states(self, series: Sequence[Series]) -> dict[Series, tuple[Candle | None, Position]]:
        """The newest stored candle of each series, if any, and where its reader stands; one statement, one snapshot."""
        if not series:
            return {}
        async with self._transaction(f"reading the newest candles of {len(series)} series") as connection:
            rows = (await connection.execute(states_statement(), filled(KEY, series))).all()
        states: dict[Series, tuple[Candle | None, Position]] = {}
        for row in rows:
            key = Series(row[0], row[1], Timeframe(row[2]))
            candle = None if row[5] is None else candle_of(key, row[5:])
            states[key] = candle, Position(key, row[3], None, row[4])
        return states

    async def page(
        self,
        series: Series,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        first: int | None = None,
        after: datetime | None = None,
        last: int | None = None,
        before: datetime | None = None,
    ) -> CandlePage:
        """A page of [start, end), oldest first; after and before are start times; the newest 500 unless asked.

        Raises:
            InvalidValue: start is after end, or first or last is wrong (repos.keyset.cut).
            DatabaseOperationError: The database failed.
        """
        times = {"start": start, "end": end, "after": after, "before": before}
        found = await self.stored_page(series, first, last, **times)
        return replace(found, rows=list(found.rows))

    async def stored_page(
        self, series: Series, first: int | None = None, last: int | None = None, **times: datetime | None
    ) -> CandlePage:
        """`page`, whose rows are StoredCandles, for who prints them: `times` are its start, end, after and before."""
        given = {name: moment for name, moment in times.items() if moment is not None}
        after, before = ((given[name],) if name in given else None for name in ("after", "before"))
        cut = keyset.cut(first, last, after, before)
        check_range(given.get("start"), given.get("end"))
        statement, names, constants = page_statement(frozenset(given), cut.backward)
        raw = {name: micros(moment) for name, moment in given.items()}
        values = {**constants, **series._asdict(), **raw, "limit": cut.limit}
        with self._failing(f"reading a page of {series}"):
            rows = await self._wire.fetch(statement, *(values[name] for name in names))
        found, has_next, has_previous = keyset.turned(rows, cut, beside=2)
        _, _, revision, newest = rows[0][: StoredCandles.FIRST]
        position = Position(series, revision or 0, None, None if newest is None else moment_of(newest))
        return CandlePage(StoredCandles(series, found), has_next, has_previous, position)

    async def count(self, series: Series, *, start: datetime | None = None, end: datetime | None = None) -> int:
        """How many candles are stored in [start, end)."""
        query = sa.select(sa.func.count()).select_from(t).where(*_range(series, start, end))
        async with self._transaction(f"counting candles of {series}") as connection:
            return int((await connection.execute(query)).scalar_one())

    async def columns(
        self,
        series: Series,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        last: int = keyset.DEFAULT,
    ) -> CandleColumns:
        """The newest `last` (0 to 10,000) candles of [start, end) as columns of floats.

        Raises:
            InvalidValue: start is after end, or last is out of bounds.
            DatabaseOperationError: The database failed.
        """
        keyset.cut(None, last, None, None)
        check_range(start, end)
        given = {"start": start, "end": end}
        asked = series._asdict() | given | {"limit": last + 1}
        query = columns_statement(frozenset(name for name, bound in given.items() if bound is not None))
        async with self._transaction(f"reading columns of {series}") as connection:
            revision, newest, *columns = (await connection.execute(query, asked)).one()
        # One more than asked for was read, the oldest: it tells whether there is more.
        truncated = columns[0] is not None and len(columns[0]) > last
        lists: Any = [(column or [])[truncated:] for column in columns]
        time, open_, high, low, close, volume, trade_count = lists
        position = Position(series, revision or 0, None, newest)
        return CandleColumns(series, time, open_, high, low, close, volume, trade_count, truncated, position)

    async def changes(self, position: Position, limit: int) -> list[tuple[Candle, Position]]:
        """At most `limit` candles written after `position`, in order of writing, each once in its latest state, with
        the position behind it."""
        series = position.series
        revision = sa.literal(position.revision, sa.BigInteger)
        if position.start is None:
            later: sa.ColumnElement[bool] = t.c.revision > revision
        else:
            start = sa.literal(position.start, t.c.start_time.type)
            later = sa.tuple_(t.c.revision, t.c.start_time) > sa.tuple_(revision, start)
        order = (t.c.revision, t.c.start_time)
        query = sa.select(t.c.revision, *COLUMNS).where(*of(series), later).order_by(*order).limit(limit)
        async with self._transaction(f"reading changes of {series}") as connection:
            rows = (await connection.execute(query)).all()
        changes = []
        newest = position.newest
        for row in rows:
            candle = candle_of(series, row[1:])
            newest = max(newest or candle.start_time, candle.start_time)
            changes.append((candle, Position(series, row[0], candle.start_time, newest)))
        return changes

    async def revisions(self, series: Sequence[Series]) -> dict[Series, int]:
        """The revision of each series that was ever written."""
        if not series:
            return {}
        asked = arrays(typed(s, KEY))
        same = sa.and_(*(s.c[name] == asked.c[name] for name in KEY))
        async with self._transaction(f"reading the revisions of {len(series)} series") as connection:
            rows = await connection.execute(sa.select(asked, s.c.revision).join(s, same), filled(KEY, series))
            return {Series(row[0], row[1], Timeframe(row[2])): row[3] for row in rows}

    async def markets(self, exchange: str | None = None) -> list[Market]:
        """Every stored series with its span and count, in key order."""
        query = sa.select(s).order_by(s.c.exchange, s.c.symbol, s.c.timeframe)
        if exchange is not None:
            query = query.where(s.c.exchange == exchange)
        async with self._transaction("reading the markets") as connection:
            rows = (await connection.execute(query)).all()
        return [
            Market(
                Series(r.exchange, r.symbol, Timeframe(r.timeframe)),
                r.first_time,
                r.last_time,
                r.candle_count,
            )
            for r in rows
            if r.revision
        ]
