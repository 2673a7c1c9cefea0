"""The newest candles of one series as they stood at one revision, with what was printed of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from repos.candle_reader import AskedPage, CandlePage
from repos.domain import Candle, Series
from repos.events import Change, Deletion, Position
from repos.feed.news import CandleNews
from repos.stored import MOST_PRINTS, StoredCandle, StoredCandles, Texts, decoded, micros, moment_of

_MOST_PAGES = 16
"""Pages whose text is kept."""
_MANY = 50
"""After so many changes at once, texts are made anew when somebody wants them."""

_ALL = 2**63
"""Behind every start."""

Row = Sequence[Any]
"""The values of repos.candle_queries.RAW: first the start, in microseconds since 2000."""

Prints = dict[object, tuple[Texts, list[str]]]
"""By selection, what makes the texts of rows, and those that were made."""


class Shelf:
    """Never changes: news makes another one, which takes over what stays.

    `rows` ascend and are the newest of the series, at most `most`; `revisions` are theirs. They are all that there is,
    if it `is_whole`. `gone` is the last revision of what was written and is not here, as older candles and deletions.
    """

    def __init__(
        self,
        series: Series,
        revision: int,
        epoch: str,
        rows: list[Row],
        revisions: list[int],
        *,
        gone: int,
        is_whole: bool,
        most: int,
    ) -> None:
        self.series = series
        self.revision = revision
        self.epoch = epoch
        self.gone = gone
        self.is_whole = is_whole
        self._rows = rows
        self._revisions = revisions
        self._most = most
        self._starts: list[int] = [row[0] for row in rows]
        self._prints: Prints = {}
        self._pages: dict[tuple[object, int, int], str] = {}

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
        return CandlePage(ShelvedCandles(self, min(low, high), high), has_next, has_previous, self.position)

    @property
    def position(self) -> Position:
        """Where a reader of all of it stands."""
        newest = moment_of(self._starts[-1]) if self._starts else None
        return Position(self.series, self.revision, None, newest, self.epoch)

    @cached_property
    def newest(self) -> StoredCandle | None:
        """The newest candle, always the same object; None unless one is here."""
        return StoredCandle(self.series, self._rows[-1]) if self._rows else None

    def changes(self, position: Position) -> list[tuple[Change, Position]] | None:
        """What was written after `position`, as MarketDataRepository.changes; None unless all of it is here."""
        if position.revision > self.revision or position.epoch != self.epoch:
            return None
        if (position.revision, position.start is None) <= (self.gone, False):
            return None
        behind = (position.revision, _ALL if position.start is None else micros(position.start))
        changes: list[tuple[Change, Position]] = []
        for revision, start in self._written[bisect_right(self._written, behind) :]:
            candle = decoded(self.series, self._rows[bisect_left(self._starts, start)])
            position = position.after(revision, candle)
            changes.append((candle, position))
        return changes

    @cached_property
    def _written(self) -> list[tuple[int, int]]:
        """Revision and start of every row, in the order of writing."""
        return sorted(zip(self._revisions, self._starts, strict=True))

    def _reaches(self, moment: datetime | None) -> bool:
        """Whether every candle that starts at `moment` or later is here; None is the beginning of time."""
        return self.is_whole or (moment is not None and micros(moment) >= self._starts[0])

    def after(self, news: CandleNews) -> "Shelf":
        """The shelf after that write."""
        candles = news.candles or []
        rows, starts, revisions = self._rows.copy(), self._starts.copy(), self._revisions.copy()
        prints = {key: (make, kept.copy()) for key, (make, kept) in self._prints.items() if len(candles) <= _MANY}
        gone, is_whole = self.gone, self.is_whole
        for candle in candles:
            row = _row(candle)
            place = bisect_left(starts, row[0])
            until = place + (place < len(starts) and starts[place] == row[0])
            if not until and not is_whole:
                gone = news.revision
                continue
            rows[place:until], starts[place:until], revisions[place:until] = [row], [row[0]], [news.revision]
            for make, kept in prints.values():
                kept[place:until] = make(self.series, [row])
        excess = max(0, len(rows) - self._most)
        if excess:
            gone, is_whole = max(gone, *revisions[:excess]), False
        for _, kept in prints.values():
            del kept[:excess]
        return self._then(news.revision, rows[excess:], revisions[excess:], prints, gone=gone, is_whole=is_whole)

    def without(self, revision: int, deletion: Deletion) -> "Shelf | None":
        """The shelf after that deletion; None when it may have too few candles left, as older ones are elsewhere."""
        low, high = (bisect_left(self._starts, micros(moment)) for moment in (deletion.start, deletion.end))
        if low < high and not self.is_whole:
            return None
        rows, revisions = self._rows.copy(), self._revisions.copy()
        prints = {key: (make, kept.copy()) for key, (make, kept) in self._prints.items()}
        del rows[low:high], revisions[low:high]
        for _, kept in prints.values():
            del kept[low:high]
        return self._then(revision, rows, revisions, prints, gone=revision, is_whole=self.is_whole)

    def _then(
        self, revision: int, rows: list[Row], revisions: list[int], prints: Prints, *, gone: int, is_whole: bool
    ) -> "Shelf":
        shelf = Shelf(self.series, revision, self.epoch, rows, revisions, gone=gone, is_whole=is_whole, most=self._most)
        shelf._prints = prints
        return shelf

    def rows(self, low: int, high: int) -> list[Row]:
        return self._rows[low:high]

    def json(self, low: int, high: int, key: object, texts: Texts) -> str:
        """The JSON array of the rows from `low` up to `high`."""
        page = self._pages.get((key, low, high))
        if page is None:
            if key not in self._prints:
                if len(self._prints) >= MOST_PRINTS:
                    self._prints.clear()
                self._prints[key] = texts, texts(self.series, self._rows)
            if len(self._pages) >= _MOST_PAGES:
                self._pages.clear()
            page = self._pages[key, low, high] = f"[{','.join(self._prints[key][1][low:high])}]"
        return page


class ShelvedCandles(StoredCandles):
    """Candles on a shelf, from `low` up to `high`."""

    __slots__ = ("_high", "_low", "_shelf")

    def __init__(self, shelf: Shelf, low: int, high: int) -> None:
        super().__init__(shelf.series, shelf.rows(low, high))
        self._shelf = shelf
        self._low = low
        self._high = high

    def json(self, key: object, texts: Texts) -> str:
        return self._shelf.json(self._low, self._high, key, texts)


def _row(candle: Candle) -> Row:
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    count = "null" if candle.trade_count is None else str(candle.trade_count)
    return micros(candle.start_time), ",".join([*(format(n, "f") for n in numbers), count, candle.origin.value])
