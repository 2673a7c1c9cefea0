"""The hot window: the newest candles of the series that are asked for, in memory, so that pages need no database.

News keeps it right. While none can arrive, or while that of this process's own writes is on its way, the window says
nothing and the database is asked.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from repos.candle_reader import AskedPage, CandlePage, CandleReader
from repos.domain import Candle, Series
from repos.events import Position
from repos.feed.news import CandleNews, News
from repos.feed.shelf import Shelf
from repos.feed.topics import Topics

MOST_SERIES = 100
"""Of which the least recently asked goes first; 2,000 candles with a selection or two of them take some 2 MB."""


class Window:
    """One series; `shelf` is None until it was read."""

    def __init__(self, series: Series, topics: Topics) -> None:
        self.series = series
        self.shelf: Shelf | None = None
        self._early: list[CandleNews] = []
        self._following = ExitStack()
        self._following.enter_context(topics.follow([series], self._deliver, count=0))

    def fill(self, shelf: Shelf) -> None:
        """Begin with what was read after the window was made."""
        self.shelf = shelf
        for news in self._early:
            self._deliver(news)
        self._early.clear()

    def close(self) -> None:
        self._following.close()

    def _deliver(self, news: News) -> None:
        if not isinstance(news, CandleNews):
            return
        if self.shelf is None:
            self._early.append(news)
        elif news.revision > self.shelf.revision:
            self.shelf = self.shelf.after(news)


class Windows:
    """Those of one process."""

    def __init__(
        self,
        topics: Topics,
        reader: CandleReader,
        written: Mapping[Series, int],
        connection: Callable[[], object | None],
        most: int,
    ) -> None:
        """`most` is how many candles of a series are kept, 0 for none at all.

        `written` are the last revisions that this process wrote: its callers are to see those. `connection` is the one
        that news arrives on, or None while some of it may have been missed.
        """
        self._topics = topics
        self._reader = reader
        self._written = written
        self._connection = connection
        self._most = most
        self._windows: OrderedDict[Series, Window] = OrderedDict()
        self._wanted: asyncio.Queue[Window] = asyncio.Queue()

    def page(self, asked: AskedPage) -> CandlePage | None:
        """The page, if it lies inside the window of its series; who asks for the newest candles opens that."""
        shelf = self._shelf(asked.series, wanted=_is_newest(asked) and asked.cut.limit <= self._most)
        return None if shelf is None else shelf.page(asked)

    def changes(self, position: Position) -> list[tuple[Candle, Position]] | None:
        """What was written after `position`, as MarketDataRepository.changes, if all of it lies inside the window,
        which this opens."""
        shelf = self._shelf(position.series, wanted=self._most > 0)
        return None if shelf is None else shelf.changes(position)

    def _shelf(self, series: Series, *, wanted: bool) -> Shelf | None:
        """What may be read; with `wanted` a window is opened where there is none, to be filled soon."""
        window = self._windows.get(series)
        if window is None:
            if wanted:
                self._open(series)
            return None
        self._windows.move_to_end(series)
        shelf = window.shelf
        if shelf is None or shelf.revision < self._written.get(series, 0) or self._connection() is None:
            return None
        return shelf

    async def fill(self) -> None:
        """Fill windows that were opened, for ever.

        Raises:
            DatabaseOperationError: One could not be read; it will be opened anew when it is asked for again.
        """
        while True:
            window = await self._wanted.get()
            series, connection = window.series, self._connection()
            if self._windows.get(series) is not window:
                continue
            try:
                position, older, rows = await self._reader.window(series, self._most)
            except BaseException:
                self._close(series)
                raise
            if connection is None or connection is not self._connection():
                self._close(series)  # what was written since it was read may be missed
                continue
            self._topics.reached(series, position.revision)
            revisions = [revision for revision, _ in rows]
            window.fill(Shelf(series, position.revision, [row for _, row in rows], revisions, older, self._most))

    def _open(self, series: Series) -> None:
        self._windows[series] = window = Window(series, self._topics)
        self._wanted.put_nowait(window)
        if len(self._windows) > MOST_SERIES:
            self._close(next(iter(self._windows)))

    def _close(self, series: Series) -> None:
        window = self._windows.pop(series, None)
        if window is not None:
            window.close()


def _is_newest(asked: AskedPage) -> bool:
    return asked.cut.backward and asked.cut.limit > 0 and asked.end is None and asked.cut.before is None
