"""Batches as parameters: an array a column, so that a batch of any size is one statement, prepared once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY


def arrays(columns: Mapping[str, Any]) -> sa.TableValuedAlias:
    """Rows of these columns (name to SQL type), whose parameters `filled` makes."""
    # SQLAlchemy keeps the names of columns to itself in INSERT and UPDATE.
    parameters = (sa.bindparam(f"{name}_array", type_=ARRAY(kind)) for name, kind in columns.items())
    named = (sa.column(name, kind) for name, kind in columns.items())
    return sa.func.unnest(*parameters).table_valued(*named, name="incoming").render_derived()


def typed(table: sa.Table, names: Iterable[str]) -> dict[str, Any]:
    """These columns of a table, for `arrays`."""
    return {name: table.c[name].type for name in names}


def filled(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """The parameters of `arrays` for `rows`, at least one, which are in the order of `names`."""
    return {f"{name}_array": list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
