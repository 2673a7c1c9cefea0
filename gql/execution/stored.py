"""The projection of candles that PostgreSQL sent a moment ago: from the raw rows, without a Candle between."""

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

from gql.execution.projection import NotProjectable, Shape
from gql.scalars import rfc3339
from repos.domain import Origin
from repos.revisions import COLUMNS
from repos.wire import StoredCandles, moment_of

_ORIGINS = {origin.value: origin.name for origin in Origin}
_PLACE = {column.name: StoredCandles.FIRST + index for index, column in enumerate(COLUMNS)}
_START = f"row[{_PLACE['start_time']}]"
_CODE = {
    "exchange": "exchange",
    "symbol": "symbol",
    "timeframe": "timeframe",
    "timestamp": f"instant({_START})",
    "start_time": f"instant({_START})",
    "end_time": f"end({_START})",
    # PostgreSQL writes a numeric in plain notation with all its places, as the scalar does.
    **{name: f"row[{_PLACE[name]}]" for name in ("open", "high", "low", "close", "volume", "trade_count")},
    "origin": f"origins[row[{_PLACE['origin']}]]",
    "is_final": "True",
}
"""How an attribute of a candle is printed."""


@lru_cache(maxsize=65_536)
def _instant(micros: int) -> str:
    return rfc3339(moment_of(micros))


@lru_cache(maxsize=1024)
def stored_candles(shape: Shape) -> Callable[[StoredCandles], list[dict[str, Any]]]:
    """The function that makes JSON of stored candles.

    Raises:
        NotProjectable: The shape is not that of a list of candles.
    """
    match shape:
        case ("list", ("object", "Candle", fields)):
            parts = []
            for response_name, attribute, _ in fields:
                code = repr("Candle") if attribute is None else _CODE[attribute]
                parts.append(f"{response_name!r}: {code}")
        case _:
            raise NotProjectable("stored candles")
    arguments = "rows, exchange, symbol, timeframe, end"
    names = {"instant": _instant, "origins": _ORIGINS}
    project = eval(f"lambda {arguments}: [{{{', '.join(parts)}}} for row in rows]", names)  # noqa: S307 -- names and attributes of our own schema

    def projected(candles: StoredCandles) -> list[dict[str, Any]]:
        series = candles.series
        length = series.timeframe.length // timedelta(microseconds=1)

        def end(start: int) -> str:
            # A month has no length of its own.
            return _instant(start + length) if length else rfc3339(series.timeframe.end(moment_of(start)))

        made: list[dict[str, Any]] = project(
            candles.records, series.exchange, series.symbol, str(series.timeframe), end
        )
        return made

    return projected
