"""Rows of raw_trades on their way in: one array a column, whatever the batch."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from repos.arrays import arrays
from repos.tables import raw_trades as t

FIELDS = ("exchange", "symbol", "timestamp", "data_type", "raw_data", "trade_id", "first_trade_id")


def rows_of() -> sa.TableValuedAlias:
    """The parameters FIELDS, an array each, as rows."""
    # JSON travels as text and is parsed by the server: a client-side codec would write every object twice.
    types = {name: sa.Text() if name == "raw_data" else t.c[name].type for name in FIELDS}
    return arrays(types)


def values_of(rows: sa.TableValuedAlias) -> list[sa.ColumnElement[Any]]:
    """The columns of `rows_of` as the table has them."""
    return [rows.c[name].cast(JSONB) if name == "raw_data" else rows.c[name] for name in FIELDS]
