"""How candles are written: in an order that readers can follow.

Every writer locks the row of each series it touches, in key order, and gives what it changes the series' next revision.
So the revisions of a series commit in order and without a hole: who has read up to one has seen all before it.
"""

from collections.abc import Sequence
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
_ENDS = (*KEY, "revision", "first_time", "last_time", "candle_count")
_INCOMING = (*KEY, "start_time", *VALUES, "revision")


_series_rows = arrays(typed(s, KEY))
_CREATE_SERIES = insert(s).from_select(list(KEY), sa.select(_series_rows)).on_conflict_do_nothing()
_LOCK_SERIES = (
    sa.select(s.c.exchange, s.c.symbol, s.c.timeframe, s.c.revision)
    .where(sa.tuple_(s.c.exchange, s.c.symbol, s.c.timeframe).in_(sa.select(_series_rows)))
    .order_by(s.c.exchange, s.c.symbol, s.c.timeframe)
    .with_for_update()
)


def _upsert() -> sa.ClauseElement:
    new = insert(t).from_select(list(_INCOMING), sa.select(arrays(typed(t, _INCOMING))))
    ours = sa.and_(t.c.origin == Origin.TRADES.value, new.excluded.origin == Origin.TRADES.value)
    differs = sa.tuple_(*(t.c[name] for name in VALUES)).is_distinct_from(
        sa.tuple_(*(new.excluded[name] for name in VALUES))
    )
    return new.on_conflict_do_update(
        index_elements=[*KEY, "start_time"],
        set_={name: new.excluded[name] for name in (*VALUES, "revision")} | {"updated_at": sa.func.now()},
        # Without force a stored row stays, but the fold may revise its own. What changes nothing takes no revision.
        where=sa.and_(sa.or_(sa.bindparam("force", type_=sa.Boolean), ours), differs),
        # xmax is zero in a row that this statement inserted.
    ).returning(t.c.exchange, t.c.symbol, t.c.timeframe, t.c.start_time, sa.literal_column("(market_data.xmax = 0)"))


_UPSERT = Hot(_upsert())
_ended = arrays(typed(s, _ENDS))
_ADVANCE_SERIES = (
    sa.update(s)
    .where(*(s.c[name] == _ended.c[name] for name in KEY))
    .values(
        revision=_ended.c.revision,
        first_time=sa.func.least(s.c.first_time, _ended.c.first_time),
        last_time=sa.func.greatest(s.c.last_time, _ended.c.last_time),
        candle_count=s.c.candle_count + _ended.c.candle_count,
    )
)


def candle_of(series: Series, row: Sequence[Any]) -> Candle:
    start, open_, high, low, close, volume, trade_count, origin = row
    end = series.timeframe.end(start)
    return Candle.stored(*series, open_, high, low, close, volume, trade_count, start, end, _ORIGINS[origin], True)


async def write(
    connection: AsyncConnection, candles: Sequence[Candle], force_update: bool, known: set[Series]
) -> list[CandleNews]:
    """Upsert `candles`, at least one and no key twice, in the transaction of `connection`; what changed, by series.

    `known` are series that have their row for certain; no row is ever deleted.
    The news has all rows, however many: whoever announces it decides what is told.
    """
    given = {(*candle.series, candle.start_time): candle for candle in candles}
    keys = sorted({candle.series for candle in candles})
    # Created before any is locked: who creates while it holds a lock can wait for one who waits for that lock.
    if not known.issuperset(keys):
        await connection.execute(_CREATE_SERIES, filled(KEY, keys))
    locked = (await connection.execute(_LOCK_SERIES, filled(KEY, keys))).all()
    revisions = {Series(row[0], row[1], Timeframe(row[2])): row[3] + 1 for row in locked}
    rows = [
        (*key, c.open, c.high, c.low, c.close, c.volume, c.trade_count, c.origin.value, revisions[c.series])
        for key, c in given.items()
    ]
    written: dict[Series, list[Candle]] = {}
    inserted: dict[Series, int] = {}
    for exchange, symbol, timeframe, start, is_new in await _UPSERT.fetch(
        connection, filled(_INCOMING, rows) | {"force": force_update}
    ):
        # What was written is what was given: it need not come back whole, be decoded and be checked again.
        candle = given[exchange, symbol, timeframe, start]
        series = candle.series
        written.setdefault(series, []).append(candle)
        inserted[series] = inserted.get(series, 0) + is_new
    if not written:
        return []
    news = []
    for key, changed in written.items():
        changed.sort(key=lambda candle: candle.start_time)
        news.append(CandleNews(key, revisions[key], changed[0].start_time, changed[-1].start_time, changed))
    ends = [(*item.series, item.revision, item.first, item.last, inserted[item.series]) for item in news]
    await connection.execute(_ADVANCE_SERIES, filled(_ENDS, ends))
    return news
