"""Batches as parameters: an array a column, so that a batch of any size is one statement, prepared once.

An array travels as PostgreSQL's own text of it: to that a list of 500 Decimals costs a tenth of the driver's encoding.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

# Instants travel as microseconds. The server multiplies them in 53 bits, which last from here to the domain's end.
_ZERO = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SQL_ZERO: Any = sa.literal_column("timestamptz '2000-01-01T00:00Z'", sa.DateTime(timezone=True))
_SQL_MICROSECOND: Any = sa.literal_column("interval '1 microsecond'", sa.Interval())


def arrays(columns: Mapping[str, Any]) -> sa.Subquery:
    """Rows of these columns (name to SQL type), whose parameters `filled` makes, in the order that it is given."""
    return sa.select(*(_column(name, kind).label(name) for name, kind in columns.items())).subquery("incoming")


def typed(table: sa.Table, names: Iterable[str]) -> dict[str, Any]:
    """These columns of a table, for `arrays`."""
    return {name: table.c[name].type for name in names}


def filled(names: Sequence[str], rows: Iterable[Sequence[Any]], json: Collection[str] = ()) -> dict[str, str]:
    """The parameters of `arrays` for `rows`, at least one, which are in the order of `names`.

    Values are strings, numbers or instants, as aware datetimes or as microseconds since 2000 (repos.wire); None is NULL
    where the others are numbers. Columns named in `json` are JSONB: their values are JSON texts, one value each (where
    they are more, the other columns end in NULLs).
    """
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return {f"{name}_array": f"[{','.join(column)}]" if name in json else _text(column) for name, column in columns}


def _column(name: str, kind: Any) -> sa.ColumnElement[Any]:
    # SQLAlchemy keeps the names of columns to itself in INSERT and UPDATE.
    text = sa.bindparam(f"{name}_array", type_=sa.Text)
    if isinstance(kind, JSONB):
        return sa.func.jsonb_array_elements(text.cast(JSONB), type_=kind)
    if isinstance(kind, sa.DateTime):
        moment: sa.ColumnElement[Any] = _SQL_ZERO + sa.func.unnest(text.cast(ARRAY(sa.BigInteger))) * _SQL_MICROSECOND
        return moment
    return sa.func.unnest(text.cast(ARRAY(kind)), type_=kind)


def _text(column: Sequence[Any]) -> str:
    """The text of an array of these values."""
    first = column[0]
    if isinstance(first, str):
        # NUL is in no text of PostgreSQL's, so it can stand between them while they are escaped together.
        return '{"' + "\0".join(column).replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","') + '"}'
    if isinstance(first, datetime):
        return "{" + ",".join([str((moment - _ZERO) // _MICROSECOND) for moment in column]) + "}"
    return "{" + ",".join(["NULL" if value is None else str(value) for value in column]) + "}"
