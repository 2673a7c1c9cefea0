"""The newest candles of one series as they stood at one revision, with what was printed of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Self, cast

from repos.candle_reader import AskedPage, CandlePage
from repos.domain import Candle, Series
from repos.events import Position
from repos.feed.news import CandleNews
from repos.revisions import COLUMNS
from repos.stored import StoredCandles, Texts, micros, moment_of

_MOST_PRINTS = 8
"""Selections whose texts are kept."""
_MOST_PAGES = 16
"""Pages whose text is kept."""
_MANY = 50
"""After so many changes at once, texts are made anew when somebody wants them."""

_WIDTH = len(COLUMNS)

Row = Sequence[Any]
"""The columns of repos.revisions.COLUMNS, raw: the start is in microseconds since 2000."""


class Shelf:
    """Never changes: news makes another one, which takes over what stays.

    `rows` ascend and are the newest of the series, at most `most`; `whole` says that there are no older ones.
    """

    def __init__(self, series: Series, revision: int, rows: list[Row], whole: bool, most: int) -> None:
        self.series = series
        self.revision = revision
        self.rows = rows
        self.whole = whole
        self._most = most
        self._starts: list[int] = [row[0] for row in rows]
        self._prints: dict[object, tuple[Texts, list[str]]] = {}
        self._pages: dict[tuple[object, int, int], str] = {}

    @classmethod
    def of(cls, page: CandlePage, most: int) -> Self:
        """The shelf of a page of StoredCandles that ends with the newest one."""
        rows: list[Row] = [tuple(row[-_WIDTH:]) for row in cast("StoredCandles", page.rows).rows]
        return cls(page.position.series, page.position.revision, rows, not page.has_previous, most)

    def page(self, asked: AskedPage) -> CandlePage | None:
        """The page, as the database would give it; None unless all that it depends on is here."""
        starts, cut = self._starts, asked.cut
        first = 0 if asked.start is None else bisect_left(starts, micros(asked.start))
        end = len(starts) if asked.end is None else bisect_left(starts, micros(asked.end))
        low, high = first, end
        if cut.after is not None:
            low = min(max(bisect_right(starts, micros(cut.after[0])), first), end)
        if cut.before is not None:
            high = min(max(bisect_left(starts, micros(cut.before[0])), first), end)
        below, above = first < low, high < end
        more = high - low > cut.limit
        # With more rows here than wanted, a page from the end does not depend on what is older.
        if not (more and cut.backward) and not self._reaches(asked.start):
            if cut.after is None or not self._reaches(cut.after[0]) or not below:
                return None
            if cut.before is not None and not above and not self._reaches(cut.before[0]):
                return None
        if cut.backward:
            low, has_next, has_previous = max(low, high - cut.limit), above, below or more
        else:
            high, has_next, has_previous = min(high, low + cut.limit), above or more, below
        position = Position(self.series, self.revision, None, moment_of(starts[-1]) if starts else None)
        return CandlePage(ShelvedCandles(self, min(low, high), high), has_next, has_previous, position)

    def _reaches(self, moment: Any) -> bool:
        """Whether every candle that starts at `moment` or later is here; None is the beginning of time."""
        return self.whole or (moment is not None and micros(moment) >= self._starts[0])

    def after(self, news: CandleNews) -> "Shelf":
        """The shelf after that write."""
        candles = news.candles or []
        rows, starts = self.rows.copy(), self._starts.copy()
        prints = (
            {} if len(candles) > _MANY else {key: (make, kept.copy()) for key, (make, kept) in self._prints.items()}
        )
        for candle in candles:
            row = _row(candle)
            place = bisect_left(starts, row[0])
            until = place + (place < len(starts) and starts[place] == row[0])
            if until or self.whole:
                rows[place:until], starts[place:until] = [row], [row[0]]
                for make, kept in prints.values():
                    kept[place:until] = make(self.series, [row])
        excess = max(0, len(rows) - self._most)
        for _, kept in prints.values():
            del kept[:excess]
        shelf = Shelf(self.series, news.revision, rows[excess:], self.whole and not excess, self._most)
        shelf._prints = prints
        return shelf

    def json(self, low: int, high: int, key: object, texts: Texts) -> str:
        """The JSON array of the rows from `low` up to `high`."""
        page = self._pages.get((key, low, high))
        if page is None:
            if key not in self._prints:
                if len(self._prints) >= _MOST_PRINTS:
                    self._prints.clear()
                self._prints[key] = texts, texts(self.series, self.rows)
            if len(self._pages) >= _MOST_PAGES:
                self._pages.clear()
            page = self._pages[key, low, high] = f"[{','.join(self._prints[key][1][low:high])}]"
        return page


class ShelvedCandles(StoredCandles):
    """Candles on a shelf, from `low` up to `high`."""

    __slots__ = ("_high", "_low", "_shelf")

    def __init__(self, shelf: Shelf, low: int, high: int) -> None:
        super().__init__(shelf.series, shelf.rows[low:high])
        self._shelf = shelf
        self._low = low
        self._high = high

    def json(self, key: object, texts: Texts) -> str:
        return self._shelf.json(self._low, self._high, key, texts)


def _row(candle: Candle) -> Row:
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    texts = (format(number, "f") for number in numbers)
    return (micros(candle.start_time), *texts, candle.trade_count, candle.origin.value)
