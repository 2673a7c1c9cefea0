"""Rows of raw_trades on their way in: one array a column, whatever the batch."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from repos.arrays import arrays, filled, typed
from repos.tables import raw_trades as t

FIELDS = ("exchange", "symbol", "timestamp", "data_type", "raw_data", "trade_id", "first_trade_id")


def rows_of() -> sa.Subquery:
    """The columns FIELDS as rows, whose parameters `filled_rows` makes."""
    return arrays(typed(t, FIELDS))


def filled_rows(rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """The parameters for `rows`, at least one, in the order of FIELDS; raw_data is JSON text."""
    return filled(FIELDS, rows, json=("raw_data",))
