"""Candles: the one upsert that every writer uses, and the reads."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.typing import FilteringBoundLogger

from repos.arrays import arrays, filled, typed
from repos.base import BaseRepository
from repos.candle_queries import between, changes_after, of
from repos.candle_reader import AskedPage, CandlePage, CandleReader
from repos.deletions import delete
from repos.domain import Candle, InvalidValue, Market, Series, Timeframe, check_range, instant, not_ahead
from repos.epoch import EpochRepository
from repos.errors import CursorExpired
from repos.events import Change, Deletion, Position
from repos.feed.bus import Bus
from repos.revisions import COLUMNS, KEY, candle_of, write
from repos.tables import market_data as t
from repos.tables import series as s
from repos.wire import WireConnections


def _range(series: Series, start: datetime | None, end: datetime | None) -> list[sa.ColumnElement[bool]]:
    check_range(start, end)
    return between(series, start, end)


class MarketDataRepository(BaseRepository):
    """Stored candles, which are final. Ranges are half-open [start, end) over start times."""

    def __init__(
        self,
        engine: AsyncEngine,
        bus: Bus,
        logger: FilteringBoundLogger,
        wire: WireConnections,
        epoch: EpochRepository,
    ) -> None:
        super().__init__(engine, logger)
        self._bus = bus
        self.stored = CandleReader(engine, logger, wire, epoch)
        self._epoch = epoch
        self._known: set[Series] = set()
        self.written: dict[Series, int] = {}
        """The last revision of each series that this process wrote."""

    def forget(self) -> None:
        """The database is another, or an older one: what this process wrote may not be there."""
        self._known.clear()
        self.written.clear()

    async def upsert_candle(self, candle: Candle, force_update: bool = False) -> bool:
        """Store a candle; whether a row was written.

        Without `force_update` a stored candle stays as it is, except that a fold of trades revises an earlier one.

        Raises:
            InvalidValue: It is still forming, or starts more than a minute ahead of the clock.
            DatabaseOperationError: The database failed; nothing was written.
        """
        return bool(await self.upsert_candles([candle], force_update))

    async def upsert_candles(
        self, batch: Sequence[Candle], force_update: bool = False, *, now: datetime | None = None
    ) -> list[Candle]:
        """Store candles in one transaction and return those written; of a key given twice the last wins.

        Each series that changes takes one new revision, saved and announced with the rows. Its row in `series` is
        locked first, in key order: writers of one series queue, so its revisions commit in order and without a hole.

        `now` is what the source's clock shows, where it is not this machine's.

        Raises:
            InvalidValue: A candle is still forming, or starts more than a minute ahead of the clock; nothing was
                written.
            DatabaseOperationError: The database failed; nothing was written.
        """
        if not batch:
            return []
        now = now or datetime.now(UTC)
        given: dict[tuple[str, str, Timeframe], dict[datetime, Candle]] = {}
        for candle in batch:
            if not candle.is_final:
                raise InvalidValue("is_final", f"{candle.series} at {candle.start_time.isoformat()} is still forming")
            not_ahead("start_time", candle.start_time, now)
            given.setdefault((candle.exchange, candle.symbol, candle.timeframe), {})[candle.start_time] = candle
        candles = {Series(*key): given[key] for key in sorted(given)}
        async with self._hot_transaction(f"storing {len(batch)} candles, the first of {batch[0].series}") as connection:
            written = await write(connection, candles, force_update, self._known)
            await self._bus.announce(connection, *written)
        self._known.update(candles)
        for news in written:
            self.written[news.series] = max(news.revision, self.written.get(news.series, 0))
        stored = [candle for news in written for candle in news.candles or ()]
        if stored:
            newest = max(written, key=attrgetter("last"))
            where = f"{newest.series.symbol} {newest.series.timeframe} at {newest.last.isoformat()}"
            many = f"Stored candles: {len(stored):,} of {len(written):,} series, the newest {where}"
            self._log.info(many if len(stored) > 1 else f"Stored candle: {where}")
        return stored

    async def delete_candles(self, exchange: str, symbol: str, timeframe: str, start: datetime, end: datetime) -> int:
        """Delete the candles that start in [start, end); how many there were.

        That takes one new revision of the series, announced with the range. Of more than repos.deletions.AT_ONCE the
        oldest go first, in transactions of their own, each with its part of the range: a failure leaves the later ones.

        Raises:
            InvalidValue: A name, the timeframe or an instant is none, or start is after end.
            DatabaseOperationError: The database failed.
        """
        series = Series.of(exchange, symbol, timeframe)
        start, end = instant("start", start), instant("end", end)
        check_range(start, end)
        count = 0
        while start < end:
            async with self._transaction(f"deleting candles of {series}") as connection:
                news = await delete(connection, series, start, end)
                if news is None:
                    break
                await self._bus.announce(connection, news)
            self.written[series] = max(news.revision, self.written.get(series, 0))
            self._log.info(f"Deleted candles: {news.count:,} of {series.symbol} {series.timeframe}")
            count += news.count
            start = news.deletion.end
        return count

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
        return {key: found.candle for key, found in (await self.stored.newest(series)).items()}

    async def page(self, series: Series, **asked: Any) -> CandlePage:
        """The page that AskedPage.of(series, **asked) stands for, of Candles.

        Raises:
            InvalidValue: start is after end, or first or last is wrong (repos.keyset.cut).
            DatabaseOperationError: The database failed.
        """
        [found] = await self.stored.pages([AskedPage.of(series, **asked)])
        return replace(found, rows=list(found.rows))

    async def count(self, series: Series, *, start: datetime | None = None, end: datetime | None = None) -> int:
        """How many candles are stored in [start, end)."""
        query = sa.select(sa.func.count()).select_from(t).where(*_range(series, start, end))
        async with self._transaction(f"counting candles of {series}") as connection:
            return int((await connection.execute(query)).scalar_one())

    async def changes(self, position: Position, limit: int) -> list[tuple[Change, Position]]:
        """At most `limit` changes after `position`, in order of writing, each with the position behind it.

        A change is a candle, once in its latest state, or a deletion, unless one of a wider range came after it.

        Raises:
            CursorExpired: Deletions after `position` are not told any more.
            DatabaseOperationError: The database failed.
        """
        series = position.series
        query = changes_after(series, position.revision, position.start, limit)
        async with self._transaction(f"reading changes of {series}") as connection:
            rows = (await connection.execute(query)).all()
        if rows and rows[0].forgotten > position.revision:
            raise CursorExpired(
                "deletions since then are so many that not all can be told: begin anew, with a snapshot"
            )
        changes: list[tuple[Change, Position]] = []
        for revision, _, end, newest, *values in rows:
            change = Deletion(values[0], end, newest) if end else candle_of(series, values)
            position = position.after(revision, change)
            changes.append((change, position))
        return changes

    async def position(self, series: Series) -> Position:
        """Where a reader stands who has seen all that is stored of `series`.

        Raises:
            DatabaseOperationError: The database failed.
        """
        epoch = await self._epoch.known()
        query = sa.select(s.c.revision, s.c.last_time).where(*(s.c[name] == getattr(series, name) for name in KEY))
        async with self._transaction(f"reading the revision of {series}") as connection:
            row = (await connection.execute(query)).first()
        return Position(series, 0, None, None, epoch) if row is None else Position(series, row[0], None, row[1], epoch)

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
                r.revision,
            )
            for r in rows
            if r.candle_count
        ]
