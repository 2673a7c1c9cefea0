"""Queries for candles, of which those that take long to build are built once."""

from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by, asyncpg

from repos import keyset
from repos.arrays import arrays, typed
from repos.domain import Series
from repos.revisions import COLUMNS, KEY, VALUES
from repos.tables import market_data as t
from repos.tables import series as s


def of(series: Series) -> list[sa.ColumnElement[bool]]:
    return [t.c.exchange == series.exchange, t.c.symbol == series.symbol, t.c.timeframe == series.timeframe]


def between(series: Series, start: Any, end: Any) -> list[sa.ColumnElement[bool]]:
    conditions = of(series)
    if start is not None:
        conditions.append(t.c.start_time >= start)
    if end is not None:
        conditions.append(t.c.start_time < end)
    return conditions


def written(series: Series) -> list[sa.ColumnElement[Any]]:
    """The series' revision and newest start, as scalar subqueries: read in the statement that reads the rows."""
    at = (s.c.exchange == series.exchange, s.c.symbol == series.symbol, s.c.timeframe == series.timeframe)
    return [
        sa.select(column).where(*at).scalar_subquery().label(column.name) for column in (s.c.revision, s.c.last_time)
    ]


@lru_cache(maxsize=32)
def page_statement(given: frozenset[str], backward: bool) -> tuple[str, list[str], dict[str, Any]]:
    """A page with values for the names in `given`, the names of its arguments in their order, and those it brings."""
    key = _asked_series()
    place = {name: _bound(name) if name in given else None for name in ("start", "end", "after", "before")}
    after, before = ((column,) if (column := place[name]) is not None else None for name in ("after", "before"))
    cut = keyset.Cut(sa.bindparam("limit", type_=sa.Integer), backward, after, before)
    conditions = between(key, place["start"], place["end"])
    query = keyset.statement(COLUMNS, [t.c.start_time], conditions, cut, written(key))
    compiled: Any = query.compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
    return str(compiled), compiled.positiontup, compiled.params


@lru_cache(maxsize=4)
def columns_statement(given: frozenset[str]) -> sa.Select[Any]:
    """Revision and newest start of a series, then its columns as arrays: one row is read faster than a thousand."""
    key = _asked_series()
    start, end = (_bound(name) if name in given else None for name in ("start", "end"))
    time = (sa.extract("epoch", t.c.start_time) * 1000).cast(sa.Double).label("time")
    floats = [t.c[name].cast(sa.Double).label(name) for name in VALUES[:5]]
    rows = (
        sa.select(t.c.start_time, time, *floats, t.c.trade_count)
        .where(*between(key, start, end))
        .order_by(t.c.start_time.desc())
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .subquery("page")
    )
    columns = [sa.func.array_agg(aggregate_order_by(column, rows.c.start_time)) for column in list(rows.c)[1:]]
    return sa.select(*written(key), *columns)


def _asked_series() -> Any:
    """A series whose names are parameters."""
    return Series(*(sa.bindparam(name, type_=sa.Text) for name in KEY))  # type: ignore[arg-type]


def _bound(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=t.c.start_time.type)


@lru_cache(maxsize=1)
def states_statement() -> sa.Select[Any]:
    """Series as arrays, each with its revision, its newest start and its newest candle. To build it takes a ms."""
    asked = arrays(typed(t, KEY))
    newest = (
        sa.select(*COLUMNS)
        .where(*(t.c[name] == asked.c[name] for name in KEY))
        .order_by(t.c.start_time.desc())
        .limit(1)
        .lateral("newest")
    )
    same = sa.and_(*(s.c[name] == asked.c[name] for name in KEY))
    joined = asked.outerjoin(s, same).outerjoin(newest, sa.true())
    return sa.select(asked, sa.func.coalesce(s.c.revision, 0), s.c.last_time, newest).select_from(joined)
