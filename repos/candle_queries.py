"""Queries for candles, of which those that take long to build are built once."""

from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from repos import keyset
from repos.arrays import arrays, typed
from repos.domain import Series
from repos.hot import Hot
from repos.revisions import COLUMNS, KEY, VALUES
from repos.tables import deletions as d
from repos.tables import market_data as t
from repos.tables import series as s

NUMBERS = VALUES[:5]
_COMMA: sa.ColumnElement[str] = sa.literal_column("','")
_LINE: sa.ColumnElement[str] = sa.literal_column("E'\\n'")


def _joined(*columns: Any) -> sa.ColumnElement[str]:
    """Values of a row as one text, separated by commas: that is read faster than each by itself."""
    return sa.func.concat_ws(_COMMA, *columns)


_NUMBERS = [t.c[name] for name in NUMBERS]
_COUNT = sa.func.coalesce(t.c.trade_count.cast(sa.Text), "null")
RAW = (t.c.start_time, _joined(*_NUMBERS, _COUNT, t.c.origin).label("values"))
"""The columns of a candle that is printed as it is: all values but the start are those of VALUES, in one text."""


def of(series: Series) -> list[sa.ColumnElement[bool]]:
    return [t.c.exchange == series.exchange, t.c.symbol == series.symbol, t.c.timeframe == series.timeframe]


def between(series: Series, start: Any, end: Any) -> list[sa.ColumnElement[bool]]:
    conditions = of(series)
    if start is not None:
        conditions.append(t.c.start_time >= start)
    if end is not None:
        conditions.append(t.c.start_time < end)
    return conditions


def written(series: Series, each_of: sa.FromClause | None = None) -> list[sa.ColumnElement[Any]]:
    """The series' revision and newest start, as scalar subqueries: read in the statement that reads the rows."""
    at = (s.c.exchange == series.exchange, s.c.symbol == series.symbol, s.c.timeframe == series.timeframe)
    made: list[sa.ColumnElement[Any]] = []
    for column in (s.c.revision, s.c.last_time):
        query = sa.select(column).where(*at)
        made.append((query if each_of is None else query.correlate(each_of)).scalar_subquery().label(column.name))
    return made


@lru_cache(maxsize=32)
def page_statement(given: frozenset[str], backward: bool) -> Hot:
    """A page with values for the names in `given`: of a series' names, those, and `limit`.

    One row, which is read faster than one for each candle: whether candles lie before and behind (repos.keyset), the
    series' revision and newest start, then the starts as an array, null without any, and the texts of RAW as one, a
    line each. Backward pages come newest first.
    """
    key = _asked_series()
    cut = _cut(sa.bindparam("limit", type_=sa.Integer), backward, {name: _bound(name) for name in given})
    times = [_bound(name) if name in given else None for name in ("start", "end")]
    conditions = between(key, *times)
    head = sa.select(*keyset.sides(_ORDER, conditions, cut), *written(key)).subquery("head")
    rows = _gathered(keyset.overhanging(RAW, _ORDER, conditions, cut)).subquery("rows")
    return Hot(sa.select(head, rows))


@lru_cache(maxsize=32)
def pages_statement(given: frozenset[str], backward: bool) -> Hot:
    """As page_statement, for many at once, a row each: all are arrays, and `place` numbers the pages, which come so."""
    instants = dict.fromkeys(sorted(given), t.c.start_time.type)
    asked = arrays({"place": sa.Integer(), **typed(t, KEY), "limit": sa.Integer(), **instants})
    key = Series(*(asked.c[name] for name in KEY))  # type: ignore[arg-type]
    cut = _cut(asked.c["limit"], backward, {name: asked.c[name] for name in given})
    times = [asked.c[name] if name in given else None for name in ("start", "end")]
    conditions = between(key, *times)
    head = sa.select(*keyset.sides(_ORDER, conditions, cut, asked), *written(key, asked)).correlate(asked)
    rows = _gathered(keyset.overhanging(RAW, _ORDER, conditions, cut, asked)).lateral("rows")
    one = head.lateral("head")
    joined = asked.join(one, sa.true()).join(rows, sa.true())
    return Hot(sa.select(one, rows).select_from(joined).order_by(asked.c.place))


_ORDER = [t.c.start_time]


def _gathered(page: sa.Select[Any]) -> sa.Select[Any]:
    """The rows of a page of RAW as one; aggregates take them as they come from the subquery."""
    rows = page.subquery("page")
    return sa.select(sa.func.array_agg(rows.c.start_time), sa.func.string_agg(rows.c["values"], _LINE))


def changes_after(series: Series, revision: int, start: datetime | None, limit: int) -> sa.Select[Any]:
    """At most `limit` candles and deletions behind that place in the order of writing, in that order.

    Each row has its revision, the series' `forgotten`, end and newest start before it of a deletion, and COLUMNS, of
    which a deletion has the start alone.
    """
    given = sa.literal(revision, sa.BigInteger)
    later: sa.ColumnElement[bool] = t.c.revision > given
    if start is not None:
        later = sa.tuple_(t.c.revision, t.c.start_time) > sa.tuple_(given, sa.literal(start, t.c.start_time.type))
    nothing = [sa.cast(sa.null(), column.type).label(column.name) for column in (d.c.end_time, d.c.newest_before)]
    candles = sa.select(t.c.revision, *nothing, *COLUMNS).where(*of(series), later)
    nothing = [sa.cast(sa.null(), column.type).label(column.name) for column in COLUMNS[1:]]
    of_series = (d.c[name] == getattr(series, name) for name in KEY)
    deleted = sa.select(d.c.revision, d.c.end_time, d.c.newest_before, d.c.start_time, *nothing)
    deleted = deleted.where(*of_series, d.c.revision > given)
    # Each is cut by itself, so that an index brings no more than is wanted.
    parts = [part.order_by("revision", "start_time").limit(limit).subquery().select() for part in (candles, deleted)]
    found = sa.union_all(*parts).subquery("found")
    known = sa.select(s.c.forgotten).where(*(s.c[name] == getattr(series, name) for name in KEY)).scalar_subquery()
    columns = [column for column in found.c if column.name != "revision"]
    query = sa.select(found.c.revision, sa.func.coalesce(known, 0).label("forgotten"), *columns)
    return query.order_by(found.c.revision, found.c.start_time).limit(limit)


def _cut(limit: Any, backward: bool, given: dict[str, Any]) -> keyset.Cut:
    after, before = ((given[name],) if name in given else None for name in ("after", "before"))
    return keyset.Cut(limit, backward, after, before)


@lru_cache(maxsize=1)
def window_statement() -> Hot:
    """Revision and newest start of a series, the last revision of what is older than its newest `limit` candles, that
    of its deletions, and those candles, each with its revision; without any their columns are null."""
    key = _asked_series()
    limit = sa.bindparam("limit", type_=sa.Integer)
    page = sa.select(t.c.revision, *RAW).where(*of(key)).order_by(t.c.start_time.desc()).limit(limit).cte("page")
    oldest = sa.select(sa.func.min(page.c.start_time)).scalar_subquery()
    older = sa.select(t.c.revision).where(*of(key), t.c.start_time < oldest).order_by(t.c.revision.desc()).limit(1)
    deleted = sa.select(sa.func.max(d.c.revision)).where(*(d.c[name] == value for name, value in key._asdict().items()))
    gone = (older.scalar_subquery().label("older"), deleted.scalar_subquery().label("deleted"))
    head = sa.select(*written(key), *gone).subquery("head")
    return Hot(sa.select(head, page).select_from(head.outerjoin(page, sa.true())).order_by(page.c.start_time))


@lru_cache(maxsize=1)
def newest_statement() -> Hot:
    """The newest candle of one series."""
    return Hot(sa.select(*RAW).where(*of(_asked_series())).order_by(t.c.start_time.desc()).limit(1))


@lru_cache(maxsize=4)
def columns_statement(given: frozenset[str]) -> Hot:
    """Revision and newest start of a series, then columns of its candles, the newest first, as one row: that is read
    faster than a thousand. The five numbers of all candles are one text, separated by commas."""
    key = _asked_series()
    start, end = (_bound(name) if name in given else None for name in ("start", "end"))
    rows = (
        sa.select(t.c.start_time, _joined(*_NUMBERS).label("numbers"), t.c.trade_count)
        .where(*between(key, start, end))
        .order_by(t.c.start_time.desc())
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .subquery("page")
    )
    numbers = sa.func.string_agg(rows.c.numbers, _COMMA)
    # Aggregates take the rows as they come from the subquery.
    columns = (sa.func.array_agg(rows.c.start_time), numbers, sa.func.array_agg(rows.c.trade_count))
    return Hot(sa.select(*written(key), *columns))


def _asked_series() -> Any:
    """A series whose names are parameters."""
    return Series(*(sa.bindparam(name, type_=sa.Text) for name in KEY))  # type: ignore[arg-type]


def _bound(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=t.c.start_time.type)


@lru_cache(maxsize=1)
def states_statement() -> Hot:
    """Series as arrays, each with its revision, its newest start and its newest candle."""
    asked = arrays(typed(t, KEY))
    newest = (
        sa.select(*RAW)
        .where(*(t.c[name] == asked.c[name] for name in KEY))
        .order_by(t.c.start_time.desc())
        .limit(1)
        .lateral("newest")
    )
    same = sa.and_(*(s.c[name] == asked.c[name] for name in KEY))
    joined = asked.outerjoin(s, same).outerjoin(newest, sa.true())
    return Hot(sa.select(asked, sa.func.coalesce(s.c.revision, 0), s.c.last_time, newest).select_from(joined))
