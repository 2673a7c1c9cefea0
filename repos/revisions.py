"""How candles are written: in an order that readers can follow.

Every writer locks the row of each series it touches, in key order, and gives what it changes the series' next revision.
So the revisions of a series commit in order and without a hole: who has read up to one has seen all before it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from repos.arrays import arrays, filled, typed
from repos.domain import Candle, Origin, Series, Timeframe
from repos.feed.news import CandleNews
from repos.hot import Hot
from repos.tables import market_data as t
from repos.tables import series as s

KEY = ("exchange", "symbol", "timeframe")
VALUES = ("open", "high", "low", "close", "volume", "trade_count", "origin")
COLUMNS = (t.c.start_time, t.c.open, t.c.high, t.c.low, t.c.close, t.c.volume, t.c.trade_count, t.c.origin)
_ORIGINS = {origin.value: origin for origin in Origin}
_INCOMING = (*KEY, "start_time", *VALUES, "revision")


_asked = arrays(typed(s, KEY))
_CREATE = Hot(insert(s).from_select(list(KEY), sa.select(_asked)).on_conflict_do_nothing())
_LOCK = Hot(
    sa.select(s.c.exchange, s.c.symbol, s.c.timeframe, s.c.revision)
    .where(sa.tuple_(s.c.exchange, s.c.symbol, s.c.timeframe).in_(sa.select(_asked)))
    .order_by(s.c.exchange, s.c.symbol, s.c.timeframe)
    .with_for_update()
)


def _upsert() -> sa.ClauseElement:
    """Writes candles and advances their series, which are locked; start times of what was written, by series."""
    new = insert(t).from_select(list(_INCOMING), sa.select(arrays(typed(t, _INCOMING))))
    ours = sa.and_(t.c.origin == Origin.TRADES.value, new.excluded.origin == Origin.TRADES.value)
    differs = sa.tuple_(*(t.c[name] for name in VALUES)).is_distinct_from(
        sa.tuple_(*(new.excluded[name] for name in VALUES))
    )
    # xmax is zero in a row that this statement inserted.
    is_new: sa.ColumnElement[bool] = sa.literal_column("market_data.xmax = 0").label("is_new")
    written = (
        new.on_conflict_do_update(
            index_elements=[*KEY, "start_time"],
            set_={name: new.excluded[name] for name in (*VALUES, "revision")} | {"updated_at": sa.func.now()},
            # Without force a stored row stays, but the fold may revise its own. What changes nothing takes no revision.
            where=sa.and_(sa.or_(sa.bindparam("force", type_=sa.Boolean), ours), differs),
        )
        .returning(t.c.exchange, t.c.symbol, t.c.timeframe, t.c.start_time, t.c.revision, is_new)
        .cte("written")
    )
    of_series = [written.c[name] for name in KEY]
    ends = (
        sa.select(
            *of_series,
            sa.func.array_agg(written.c.start_time).label("starts"),
            sa.func.max(written.c.revision).label("revision"),
            sa.func.min(written.c.start_time).label("first_time"),
            sa.func.max(written.c.start_time).label("last_time"),
            sa.func.count().filter(written.c.is_new).label("new_count"),
        )
        .group_by(*of_series)
        .cte("ends")
    )
    advanced = (
        sa.update(s)
        .where(*(s.c[name] == ends.c[name] for name in KEY))
        .values(
            revision=ends.c.revision,
            first_time=sa.func.least(s.c.first_time, ends.c.first_time),
            last_time=sa.func.greatest(s.c.last_time, ends.c.last_time),
            candle_count=s.c.candle_count + ends.c.new_count,
        )
        .cte("advanced")
    )
    return sa.select(*(ends.c[name] for name in (*KEY, "starts"))).add_cte(advanced)


_UPSERT = Hot(_upsert())


def candle_of(series: Series, row: Sequence[Any]) -> Candle:
    start, open_, high, low, close, volume, trade_count, origin = row
    end = series.timeframe.end(start)
    return Candle.stored(*series, open_, high, low, close, volume, trade_count, start, end, _ORIGINS[origin], True)


async def write(
    connection: AsyncConnection,
    candles: Mapping[Series, Mapping[datetime, Candle]],
    force_update: bool,
    known: set[Series],
) -> list[CandleNews]:
    """Upsert candles, at least one, in the transaction of `connection`; what changed, by series in key order.

    `candles` are by start time, and their series in key order. `known` are series that have their row, as far as
    the caller knows. The news has all rows, however many: whoever announces it decides what is told.
    """
    asked = filled(KEY, candles)
    # Created before any is locked: who creates while it holds a lock can wait for one who waits for that lock.
    if not known.issuperset(candles):
        await _CREATE.fetch(connection, asked)
    locked = await _LOCK.fetch(connection, asked)
    if len(locked) < len(candles):  # the database is an older one than that which they were created in
        await _CREATE.fetch(connection, asked)
        locked = await _LOCK.fetch(connection, asked)
    revisions = {Series(row[0], row[1], Timeframe(row[2])): row[3] + 1 for row in locked}
    rows = [
        (*key, start, c.open, c.high, c.low, c.close, c.volume, c.trade_count, c.origin.value, revisions[key])
        for key, given in candles.items()
        for start, c in given.items()
    ]
    written = await _UPSERT.fetch(connection, filled(_INCOMING, rows) | {"force": force_update})
    news = []
    for *names, starts in sorted(written):
        # What was written is what was given: it need not come back whole, be decoded and be checked again.
        key = Series(names[0], names[1], Timeframe(names[2]))
        rows_of = [candles[key][start] for start in sorted(starts)]
        news.append(CandleNews(key, revisions[key], rows_of[0].start_time, rows_of[-1].start_time, rows_of))
    return news
