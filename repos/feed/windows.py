"""The hot window: the newest candles of the series that are asked for, in memory, so that pages need no database.

News keeps it right. While none can arrive, or while that of this process's own writes is on its way, the window says
nothing and the database is asked.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

from repos.candle_reader import AskedPage, CandlePage, CandleReader
from repos.domain import Series
from repos.events import Change, Position
from repos.feed.news import CandleNews, DeletedNews, Expired, News
from repos.feed.shelf import Shelf
from repos.feed.topics import Topics
from repos.stored import StoredCandle

T = TypeVar("T")

MOST_SERIES = 100
"""2,000 candles with a selection or two of them take some 2 MB."""
AT_REST = 60.0
"""Seconds without a reader after which a window makes room. When none is at rest, new series go without: who asks for
one after the other can't have each of them filled."""


class Window:
    """One series; `shelf` is None until it was read."""

    def __init__(self, series: Series, topics: Topics, lost: Callable[["Window"], None]) -> None:
        """`lost` hears when what it held is of no use any more."""
        self.series = series
        self.shelf: Shelf | None = None
        self.settled = asyncio.Event()
        """It was filled, or closed."""
        self.asked_at = asyncio.get_running_loop().time()
        self._lost = lost
        self._early: list[News] = []
        self._following = ExitStack()
        self._following.enter_context(topics.follow([series], self._deliver, count=0))

    def fill(self, shelf: Shelf) -> None:
        """Begin with what was read after the window was made."""
        self.shelf = shelf
        early, self._early = self._early, []
        for news in early:
            self._deliver(news)
        self.settled.set()

    def close(self) -> None:
        self.shelf = None
        self.settled.set()
        self._following.close()

    def _deliver(self, news: News) -> None:
        match news:
            case Expired():
                self._lost(self)
            case CandleNews() | DeletedNews() if self.shelf is None:
                self._early.append(news)
            case CandleNews(revision=revision) if self.shelf and revision > self.shelf.revision:
                self.shelf = self.shelf.after(news)
            case DeletedNews(revision=revision, deletion=deletion) if self.shelf and revision > self.shelf.revision:
                self.shelf = self.shelf.without(revision, deletion)
                if self.shelf is None:
                    self._lost(self)


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
        self.found = 0
        self.missed = 0
        """Reads, since the start."""

    @property
    def count(self) -> int:
        """Of series that have a window."""
        return len(self._windows)

    async def pages(self, asked: Sequence[AskedPage]) -> list[CandlePage | None]:
        """Those that lie inside the windows of their series; who asks for the newest candles opens one."""
        windows = [self._window(page.series, wanted=self._holds(page)) for page in asked]
        shelves = [await self._shelf(window) for window in windows]
        pages = zip(asked, shelves, strict=True)
        return [self._counted(None if shelf is None else shelf.page(page)) for page, shelf in pages]

    async def changes(self, position: Position) -> tuple[list[tuple[Change, Position]], Position] | None:
        """What was written after `position`, as MarketDataRepository.changes, if all of it lies inside the window,
        which this opens; and where the window stands."""
        shelf = await self._shelf(self._window(position.series, wanted=self._most > 0))
        changes = self._counted(None if shelf is None else shelf.changes(position))
        return None if shelf is None or changes is None else (changes, shelf.position)

    def newest(self, series: Series, revision: int = 0) -> StoredCandle | None:
        """The newest candle of the series, as it stood at `revision` or later; None when the database is to be asked.

        It neither opens a window nor waits for one: a candle is not worth the reading of thousands.
        """
        window = self._window(series, wanted=False)
        shelf = None if window is None else self._readable(window)
        return self._counted(None if shelf is None or shelf.revision < revision else shelf.newest)

    def _holds(self, asked: AskedPage) -> bool:
        """Whether a window, when it is filled, holds that page."""
        is_newest = asked.cut.backward and asked.end is None and asked.cut.before is None
        return is_newest and 0 < asked.cut.limit <= self._most

    def _counted(self, read: T | None) -> T | None:
        self.found += read is not None
        self.missed += read is None
        return read

    def _window(self, series: Series, *, wanted: bool) -> Window | None:
        """The window of the series; if there is none and one is `wanted`, it is opened."""
        window = self._windows.get(series)
        if window is None:
            if wanted and self._connection() is not None and self._has_room():
                window = self._windows[series] = Window(series, self._topics, self._close)
                self._wanted.put_nowait(window)
        else:
            self._windows.move_to_end(series)
            window.asked_at = asyncio.get_running_loop().time()
        return window

    def _has_room(self) -> bool:
        if len(self._windows) < MOST_SERIES:
            return True
        oldest = next(iter(self._windows.values()))
        if asyncio.get_running_loop().time() - oldest.asked_at < AT_REST:
            return False
        self._close(oldest)
        return True

    async def _shelf(self, window: Window | None) -> Shelf | None:
        """What may be read. Many who come at once wait for one reading of the database."""
        if window is None:
            return None
        if window.shelf is None:
            await window.settled.wait()
        return self._readable(window)

    def _readable(self, window: Window) -> Shelf | None:
        """Its shelf, unless more may have been written than it holds."""
        shelf = window.shelf
        if shelf is None or self._connection() is None:
            return None
        told = max(self._written.get(window.series, 0), self._topics.told(window.series))
        return None if shelf.revision < told else shelf

    async def fill(self) -> None:
        """Fill windows that were opened, for ever.

        Raises:
            DatabaseOperationError: One could not be read; it will be opened anew when it is asked for again.
        """
        while True:
            window = await self._wanted.get()
            series, connection = window.series, self._connection()
            try:
                position, gone, is_whole, rows = await self._reader.window(series, self._most)
            except BaseException:
                self._close(window)
                raise
            if connection is None or connection is not self._connection():
                self._close(window)  # what was written since it was read may be missed
            if self._windows.get(series) is not window:
                continue
            self._topics.reached(series, position.revision, position.epoch)
            kept = [row for _, row in rows], [revision for revision, _ in rows]
            stands = position.revision, position.epoch
            window.fill(Shelf(series, *stands, *kept, gone=gone, is_whole=is_whole, most=self._most))

    def _close(self, window: Window) -> None:
        if self._windows.get(window.series) is window:
            del self._windows[window.series]
            window.close()
