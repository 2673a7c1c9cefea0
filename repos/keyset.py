"""Pages by keyset: cut by the key of a neighbour, never by counting rows, so a page holds still while rows arrive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from repos.domain import InvalidValue

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
        InvalidValue: first and last together, or one of them outside 0 to 10,000.
    """
    if first is not None and last is not None:
        raise InvalidValue("last", "first and last can't be given together")
    for name, value in (("first", first), ("last", last)):
        if value is not None and not 0 <= value <= MOST:
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
    beside: Sequence[sa.ColumnElement[Any]] = (),
    each_of: sa.FromClause | None = None,
) -> sa.Select[Any]:
    """One statement, hence one snapshot, for a page, its neighbours and the scalar subqueries `beside`.

    Rows are (before, after, *beside, *columns): whether rows lie on either side of the cut, outside the page's own
    overhang. There is always a row; without any on the page its `columns` are null. Backward pages come newest first.

    `each_of` are rows whose columns stand in the conditions, in the page and beside: there is a page for each of them,
    in the order of the last of `beside`.
    """
    ordered: Any = sa.tuple_(*key)
    inside = list(conditions)
    below: sa.ColumnElement[bool] = sa.false()
    above: sa.ColumnElement[bool] = sa.false()
    if page.after is not None:
        bound = _bound(page.after, key)
        inside.append(ordered > bound)
        below = sa.exists(_correlated(sa.select(sa.literal(1)).where(*conditions, ordered <= bound), each_of))
    if page.before is not None:
        bound = _bound(page.before, key)
        inside.append(ordered < bound)
        above = sa.exists(_correlated(sa.select(sa.literal(1)).where(*conditions, ordered >= bound), each_of))
    order = [c.desc() for c in key] if page.backward else list(key)
    whole_head = sa.select(below.label("below"), above.label("above"), *beside)
    whole_page = sa.select(*columns).where(*inside).order_by(*order).limit(page.limit + 1)
    head: sa.FromClause = whole_head.subquery("head")
    rows: sa.FromClause = whole_page.subquery("page")
    place: list[sa.ColumnElement[Any]] = []
    every = head
    if each_of is not None:
        # OFFSET keeps PostgreSQL from asking again in each row of the page.
        head = _correlated(whole_head, each_of).offset(sa.literal_column("0")).lateral("head")
        rows = _correlated(whole_page, each_of).lateral("page")
        place = [list(head.c)[-1]]
        every = each_of.join(head, sa.true())
    outer = [c.desc() if page.backward else c.asc() for c in (rows.c[str(k.key)] for k in key)]
    return sa.select(head, rows).select_from(every.outerjoin(rows, sa.true())).order_by(*place, *outer)


def _correlated(query: sa.Select[Any], each_of: sa.FromClause | None) -> sa.Select[Any]:
    return query if each_of is None else query.correlate(each_of)


def _bound(values: Sequence[Any], key: Sequence[sa.ColumnElement[Any]]) -> sa.Tuple:
    made = (v if isinstance(v, sa.ColumnElement) else sa.literal(v, c.type) for v, c in zip(values, key, strict=True))
    return sa.tuple_(*made)


def trimmed(rows: Sequence[Any], page: Cut, beside: int = 0) -> tuple[list[tuple[Any, ...]], bool, bool]:
    """The answer to `statement` as (columns of the page's rows, ascending; has_next; has_previous).

    `beside` is how many subqueries stood beside; the first of the columns must never be null.
    """
    found, has_next, has_previous = turned(rows, page, beside)
    return [tuple(row)[2 + beside :] for row in found], has_next, has_previous


def turned(rows: Sequence[Any], page: Cut, beside: int = 0) -> tuple[list[Any], bool, bool]:
    """As `trimmed`, with the rows whole."""
    below, above = rows[0][:2]
    found = [] if rows[0][2 + beside] is None else list(rows)
    more = len(found) > page.limit
    found = found[: page.limit]
    if page.backward:
        found.reverse()
        return found, above, below or more
    return found, above or more, below
