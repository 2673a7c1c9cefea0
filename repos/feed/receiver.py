"""The one listener of a process: keeps the LISTEN connection, hands news to the topics and has read what was missed."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

import stamina
import structlog

from repos.domain import Candle, InvalidValue, Series, of_type, shown
from repos.driver_errors import DRIVER_ERRORS
from repos.errors import DatabaseOperationError, DatabaseUnavailable
from repos.events import CollectorReport
from repos.feed.collectors import Collectors
from repos.feed.missed import MissedNews
from repos.feed.news import Ask, AskCollectors, CollectorNews, FormingNews, News, Ping
from repos.feed.topics import BOTS, Key, Topics
from repos.feed.windows import Windows

if TYPE_CHECKING:
    from repos.operations import DatabaseOperations

TICK = 5.0
"""Seconds between a hub's pings, and between its looks at the tables for news that got lost."""
SILENCE = 10.0
"""Seconds without a ping's return after which the connection counts as lost."""
TELL_WITHIN = 5.0
"""Seconds for a report of a collector to be sent."""
HOT_CANDLES = 2_000
FILLED_AT_ONCE = 4
"""Windows that are read side by side."""
_WANTED = "a direct connection to the primary for LISTEN, through no transaction pooler: DATABASE_LISTEN_URL"

log = structlog.get_logger(__name__)


class Receiver:
    """Enter it to listen. It outlives the loss of the database: topics keep their positions and catch up afterwards."""

    def __init__(
        self,
        db: "DatabaseOperations",
        bot_heartbeat_timeout: timedelta = timedelta(seconds=60),
        hot_candles: int = HOT_CANDLES,
    ) -> None:
        """`hot_candles` is how many of the newest candles of a series that is asked for are kept in memory.

        Raises:
            InvalidValue: An argument is of another type.
        """
        if not hasattr(db, "market_data"):
            raise InvalidValue("db", f"{shown(db)} is no DatabaseOperations")
        of_type("bot_heartbeat_timeout", bot_heartbeat_timeout, timedelta)
        of_type("hot_candles", hot_candles, int)
        self._db = db
        self._inbox: asyncio.Queue[tuple[str | None, News]] = asyncio.Queue()
        """News, each with the epoch in which it was heard; None before one is known."""
        self._outbox: asyncio.Queue[News] = asyncio.Queue()
        self._lost = asyncio.Event()
        self._listening: asyncio.Event | None = None
        self._caught_up: asyncio.Event | None = None
        self._look_now = asyncio.Event()
        self._token = secrets.token_hex(8)
        self._heard_at: float | None = None
        self._providers: list[Callable[[Series], Candle | None]] = []
        self.collectors = Collectors()
        self.topics = Topics(self._opened, lambda: db.epoch.current)
        self._missed = MissedNews(db, self.topics, bot_heartbeat_timeout)
        candles = db.market_data
        self.windows = Windows(self.topics, candles.stored, candles.written, self._complete, hot_candles)

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running

    @property
    def connected(self) -> bool:
        """Whether a ping came back lately."""
        return self._heard_at is not None and asyncio.get_running_loop().time() - self._heard_at <= SILENCE

    def _complete(self) -> object | None:
        """The connection that news arrives on, if the topics have caught up with the tables since it stands."""
        return self._lost if self._caught_up is self._lost and not self._lost.is_set() else None

    async def report(self, source: str, report: CollectorReport | None) -> None:
        """Tell every process how the collector `source` of this one is doing; None: it stops.

        This process knows it at once, also while the database is away.

        Raises:
            DatabaseOperationError: The others were not told.
        """
        news = CollectorNews(source, report)
        self.collectors.keep(source, report)
        self.topics.deliver(news)
        try:
            async with asyncio.timeout(TELL_WITHIN):
                await self._db.bus.publish(news)
        except TimeoutError as error:
            raise DatabaseUnavailable(f"publishing news: no answer within {TELL_WITHIN:g} s") from error

    @contextmanager
    def answer(self, provider: Callable[[Series], Candle | None]) -> Iterator[None]:
        """Ask `provider` for the forming candle when somebody in any process begins to follow a series."""
        self._providers.append(provider)
        try:
            yield
        finally:
            self._providers.remove(provider)

    def _opened(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if isinstance(key, Series):
                self._outbox.put_nowait(Ask(key))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for work in (self._listen, self._hand_out, self._send, self._look, *[self._fill] * FILLED_AT_ONCE):
                tasks.create_task(work())

    async def _listen(self) -> None:
        failures = (*DRIVER_ERRORS, DatabaseOperationError)
        while True:
            told = ""
            async for attempt in stamina.retry_context(on=failures, attempts=None, timeout=None, wait_max=5.0):
                with attempt:
                    # One for each connection: the end of the last one may still be on its way to us.
                    self._lost = asyncio.Event()
                    try:
                        await self._db.bus.listen(self._heard, self._listens, self._lost, self._follows)
                    except failures as error:
                        reason = str(error) or type(error).__name__
                        if reason != told:
                            log.warning("News can't be heard, and is tried for again", reason=reason, wanted=_WANTED)
                        told = reason
                        raise
            log.warning("The connection for news was lost; opening another")

    def _listens(self) -> None:
        """The connection stands: prove it, and read what was written while there was none."""
        self._heard_at = asyncio.get_running_loop().time()
        self._listening = self._lost
        self._look_now.set()
        self._outbox.put_nowait(AskCollectors())
        self._opened(list(self.topics.series()))  # answers to what was asked before may not have been heard

    def _heard(self, news: News) -> None:
        self._inbox.put_nowait((self._db.epoch.current, news))

    def _follows(self, key: Key) -> bool:
        return self.topics.get(key) is not None

    async def _send(self) -> None:
        while True:
            news = [await self._outbox.get()]
            while not self._outbox.empty():
                news.append(self._outbox.get_nowait())
            if await self._attempt(self._db.bus.publish(*news)) and AskCollectors() in news:
                self.collectors.asked()

    async def _hand_out(self) -> None:
        while True:
            epoch, news = await self._inbox.get()
            match news:
                case Ping(token=token):
                    if token == self._token:
                        self._heard_at = asyncio.get_running_loop().time()
                case Ask(series=series):
                    candles = [candle for provider in self._providers if (candle := provider(series)) is not None]
                    if candles:
                        self._outbox.put_nowait(FormingNews(candles))
                case AskCollectors():
                    for report in self.collectors.own():
                        self._outbox.put_nowait(report)
                case CollectorNews():
                    if self.collectors.hear(news):
                        self.topics.deliver(news)
                case _:
                    # Nobody who is left waits for news of an epoch that has ended: its numbers would mislead.
                    hole = self.topics.deliver(news) if epoch in (None, self._db.epoch.current) else None
                    if hole is not None:
                        await self._attempt(self._missed.read(hole))

    async def _fill(self) -> None:
        while True:
            await self._attempt(self.windows.fill())

    async def _look(self) -> None:
        """Every TICK: ping, give a silent connection up, and compare the topics with the tables."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._look_now.wait()
            self._look_now.clear()
            if self._heard_at is not None and not self.connected:
                log.warning("No news comes back", wanted=_WANTED)
                self._heard_at = None
                self._lost.set()
            self._outbox.put_nowait(Ping(self._token))
            listening = self._listening
            if await self._attempt(self._missed.compare()):
                self._caught_up = listening
            if self.topics.get(BOTS) is not None:
                await self._attempt(self._missed.tell_stale())

    async def _attempt(self, work: Coroutine[None, None, None]) -> bool:
        try:
            await work
        except DatabaseOperationError as error:
            log.warning("The feed will try again", reason=str(error))
            return False
        return True
