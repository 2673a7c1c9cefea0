"""Candles as PostgreSQL sent them: numbers as text, instants as integers, and decoded only for who wants that."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, overload

from repos.candle_queries import RAW
from repos.domain import Candle, Series
from repos.revisions import candle_of

Texts = Callable[[Series, Sequence[Sequence[Any]]], list[str]]
"""What is printed of rows of one series, a text each."""

MOST_PRINTS = 8
"""Selections whose texts are kept."""

_ZERO = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WIDTH = len(RAW)


def micros(moment: datetime) -> int:
    """`moment` as PostgreSQL counts: microseconds since 2000."""
    return (moment - _ZERO) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    return _ZERO + timedelta(microseconds=micros)


def decoded(series: Series, row: Sequence[Any]) -> Candle:
    """The candle of a raw row, which ends with the values of RAW."""
    start, text = row[-_WIDTH:]
    *numbers, trade_count, origin = text.split(",")
    count = None if trade_count == "null" else int(trade_count)
    return candle_of(series, (moment_of(start), *map(Decimal, numbers), count, origin))


class StoredCandle:
    """A candle that is decoded when it is first looked into. `row` is raw and ends with repos.candle_queries.RAW."""

    __slots__ = ("_candle", "_prints", "row", "series")

    def __init__(self, series: Series, row: Sequence[Any]) -> None:
        self.series = series
        self.row = row
        self._candle: Candle | None = None
        self._prints: dict[object, str] | None = None

    @property
    def candle(self) -> Candle:
        if self._candle is None:
            self._candle = decoded(self.series, self.row)
        return self._candle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.candle, name)

    def json(self, key: object, texts: Texts) -> str:
        """The JSON object that `texts` makes of it, kept for as long as it is; equal keys stand for equal texts."""
        if self._prints is None or len(self._prints) > MOST_PRINTS:
            self._prints = {}
        text = self._prints.get(key)
        if text is None:
            text = self._prints[key] = texts(self.series, [self.row])[0]
        return text


class StoredCandles(Sequence[Candle]):
    """Candles of one series, decoded one by one as they are read; `rows` are raw, as StoredCandle's."""

    __slots__ = ("rows", "series")

    def __init__(self, series: Series, rows: Sequence[Sequence[Any]]) -> None:
        self.series = series
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Candle: ...
    @overload
    def __getitem__(self, index: slice) -> "StoredCandles": ...
    def __getitem__(self, index: int | slice) -> "Candle | StoredCandles":
        if isinstance(index, slice):
            return StoredCandles(self.series, self.rows[index])
        return decoded(self.series, self.rows[index])

    def json(self, key: object, texts: Texts) -> str:  # noqa: ARG002 -- where rows are kept, their texts are too
        """The JSON array of what `texts` makes of the rows; equal keys stand for equal texts."""
        return f"[{','.join(texts(self.series, self.rows))}]"
