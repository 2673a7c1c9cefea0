"""Pages by keyset: cut by the key of a neighbour, never by counting rows, so a page holds still while rows arrive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from repos.domain import InvalidValue, of_type

MOST = 10_000
"""Rows on one page."""
DEFAULT = 500


@dataclass(frozen=True, slots=True)
class Cut:
    """Which rows of an ascending range make the page: the first or last `limit` of those between `after` and `before`.

    `after` and `before` are exclusive key tuples. A statement can also be made of expressions in the place of values.
    """

    limit: Any
    backward: bool
    after: tuple[Any, ...] | None
    before: tuple[Any, ...] | None


def cut(
    first: int | None,
    last: int | None,
    after: tuple[Any, ...] | None,
    before: tuple[Any, ...] | None,
    default: int = DEFAULT,
) -> Cut:
    """The page that is asked for. Neither first nor last: the newest `default` rows, or those right behind `after`.

    Raises:
        InvalidValue: first and last together, or one of them no whole number or outside 0 to 10,000.
    """
    if first is not None and last is not None:
        raise InvalidValue("last", "first and last can't be given together")
    for name, value in (("first", first), ("last", last)):
        if value is not None:
            of_type(name, value, int)
            if not 0 <= value <= MOST:
                raise InvalidValue(name, f"{value} is not between 0 and {MOST}")
    if first is None and last is None and after is not None:
        first = default
    backward = first is None
    limit = first if first is not None else last if last is not None else default
    return Cut(limit, backward, after, before)


def statement(
    columns: Sequence[sa.ColumnElement[Any]],
    key: Sequence[sa.ColumnElement[Any]],
    conditions: Sequence[sa.ColumnElement[bool]],
    page: Cut,
) -> sa.Select[Any]:
    """One statement, hence one snapshot, for a page and its neighbours.

    Rows are (before, after, *columns): whether rows lie on either side of the cut, outside the page's own overhang.
    There is always a row; without any on the page its `columns` are null. Backward pages come newest first.
    """
    head = sa.select(*sides(key, conditions, page)).subquery("head")
    rows = overhanging(columns, key, conditions, page).subquery("page")
    outer = [c.desc() if page.backward else c.asc() for c in (rows.c[str(k.key)] for k in key)]
    return sa.select(head, rows).select_from(head.outerjoin(rows, sa.true())).order_by(*outer)


def sides(
    key: Sequence[sa.ColumnElement[Any]],
    conditions: Sequence[sa.ColumnElement[bool]],
    page: Cut,
    each_of: sa.FromClause | None = None,
) -> list[sa.ColumnElement[bool]]:
    """Whether rows lie before the cut and behind it, outside the page's own overhang; `each_of` as in overhanging."""
    ordered: Any = sa.tuple_(*key)
    found: list[sa.ColumnElement[bool]] = []
    for name, values in (("below", page.after), ("above", page.before)):
        lies: sa.ColumnElement[bool] = sa.false()
        if values is not None:
            bound = _bound(values, key)
            beyond = ordered <= bound if name == "below" else ordered >= bound
            lies = sa.exists(_correlated(sa.select(sa.literal(1)).where(*conditions, beyond), each_of))
        found.append(lies.label(name))
    return found


def overhanging(
    columns: Sequence[sa.ColumnElement[Any]],
    key: Sequence[sa.ColumnElement[Any]],
    conditions: Sequence[sa.ColumnElement[bool]],
    page: Cut,
    each_of: sa.FromClause | None = None,
) -> sa.Select[Any]:
    """The page and one row more, if there is one; backward pages come newest first.

    `each_of` are rows whose columns stand in the conditions and in the page.
    """
    ordered: Any = sa.tuple_(*key)
    inside = list(conditions)
    if page.after is not None:
        inside.append(ordered > _bound(page.after, key))
    if page.before is not None:
        inside.append(ordered < _bound(page.before, key))
    order = [c.desc() for c in key] if page.backward else list(key)
    return _correlated(sa.select(*columns).where(*inside).order_by(*order).limit(page.limit + 1), each_of)


def _correlated(query: sa.Select[Any], each_of: sa.FromClause | None) -> sa.Select[Any]:
    return query if each_of is None else query.correlate(each_of)


def _bound(values: Sequence[Any], key: Sequence[sa.ColumnElement[Any]]) -> sa.Tuple:
    made = (v if isinstance(v, sa.ColumnElement) else sa.literal(v, c.type) for v, c in zip(values, key, strict=True))
    return sa.tuple_(*made)


def trimmed(rows: Sequence[Any], page: Cut) -> tuple[list[tuple[Any, ...]], bool, bool]:
    """The answer to `statement` as (columns of the page's rows, ascending; has_next; has_previous).

    The first of the columns must never be null.
    """
    found, has_next, has_previous = turned(rows, page)
    return [tuple(row)[2:] for row in found], has_next, has_previous


def turned(rows: Sequence[Any], page: Cut) -> tuple[list[Any], bool, bool]:
    """As `trimmed`, with the rows whole."""
    below, above = rows[0][:2]
    return turned_page([] if rows[0][2] is None else list(rows), page, below, above)


def turned_page(found: list[Any], page: Cut, below: bool, above: bool) -> tuple[list[Any], bool, bool]:
    """What `overhanging` found, without its overhang and ascending; has_next; has_previous."""
    more = len(found) > page.limit
    found = found[: page.limit]
    if page.backward:
        found.reverse()
        return found, above, below or more
    return found, above or more, below
