"""Candles that PostgreSQL sent a moment ago, as JSON text: from the raw rows, without a Candle between."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

import orjson

from gql.cursors import CandleCursor, encoded
from gql.edges import StoredEdges
from gql.execution.shape import Shape
from gql.scalars import rfc3339
from repos.candle_queries import NUMBERS
from repos.domain import Origin, Series
from repos.revisions import VALUES
from repos.stored import StoredCandle, StoredCandles, moment_of

PRINTED = ("Candle", "CandleEdge")
"""Types of which `printer` is the printer."""
PRINTABLE = (StoredCandles, StoredEdges)
"""Lists of those that it prints."""

_ORIGINS = {origin.value: origin.name for origin in Origin}
_START = "row[-2]"  # of repos.candle_queries.RAW
_CODE = {
    "exchange": "{exchange}",
    "symbol": "{symbol}",
    "timeframe": '"{timeframe}"',
    "timestamp": f'"{{instant({_START})}}"',
    "start_time": f'"{{instant({_START})}}"',
    "end_time": f'"{{end({_START})}}"',
    # PostgreSQL writes a numeric in plain notation with all its places, as the scalar does.
    **{name: f'"{{{name}}}"' for name in NUMBERS},
    "trade_count": "{trade_count}",
    "origin": '"{origins[origin]}"',
    "is_final": "true",
    "cursor": f'"{{cursor({_START})}}"',
}
"""How an attribute of a candle, or of its edge, is printed."""


@lru_cache(maxsize=65_536)
def _instant(micros: int) -> str:
    return rfc3339(moment_of(micros))


@lru_cache(maxsize=1024)
def printer(shape: Shape) -> Callable[[StoredCandles | StoredEdges | StoredCandle], orjson.Fragment]:
    """The function that makes a JSON array of stored candles and a JSON object of one, of which `shape` is selected."""
    names = {"instant": _instant, "origins": _ORIGINS}
    code = _object(shape)
    split = f" for {', '.join(VALUES)} in (row[-1].split(','),)"
    arguments = "rows, exchange, symbol, timeframe, end, cursor"
    make = eval(f"lambda {arguments}: [f'''{code}''' for row in rows{split}]", names)  # noqa: S307 -- a client's aliases are in it, each an identifier

    def texts(series: Series, rows: Sequence[Any]) -> list[str]:
        length = series.timeframe.length // timedelta(microseconds=1)

        def end(start: int) -> str:
            # A month has no length of its own.
            return _instant(start + length) if length else rfc3339(series.timeframe.end(moment_of(start)))

        def cursor(start: int) -> str:
            return encoded(CandleCursor(*series, moment_of(start)))

        labels = (orjson.dumps(name).decode() for name in (series.exchange, series.symbol))
        made: list[str] = make(rows, *labels, series.timeframe, end, cursor)
        return made

    def printed(found: StoredCandles | StoredEdges | StoredCandle) -> orjson.Fragment:
        if isinstance(found, StoredCandle):
            return orjson.Fragment(found.json(make, texts))
        candles = found.candles if isinstance(found, StoredEdges) else found
        return orjson.Fragment(candles.json(shape, texts))

    return printed


def _object(shape: Shape) -> str:
    """The inside of an f-string."""
    _, name, fields = shape
    parts = []
    for response_name, source, field in fields:
        # Clients choose response names (aliases); a GraphQL name is an identifier, which can't end the text.
        if not response_name.isidentifier():
            raise ValueError(f"{response_name!r} is no name")
        code = f'"{name}"' if source is None else _object(field) if source == "node" else _CODE[source]
        parts.append(f'"{response_name}":{code}')
    return f"{{{{{','.join(parts)}}}}}"
