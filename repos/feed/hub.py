"""The feed: candles, trades, bots and health as async iterators with no hole between snapshot, resume and live."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from repos.candle_reader import AskedPage
from repos.domain import EPOCH, Candle, Series
from repos.events import (
    BotEvent,
    BusHealth,
    CandleEvent,
    CandleEventKind,
    Health,
    Position,
    TradesEvent,
)
from repos.feed.mailbox import Mailbox
from repos.feed.news import BotNews, CandleNews, FormingNews, News, Tape
from repos.feed.reading import Reading, candle_events, trades_events, written
from repos.feed.receiver import TICK, Receiver
from repos.feed.topics import BOTS, HEALTH

READ_ROWS = 1_000
"""Rows read at a time by a subscriber that resumes."""


class Feed(Receiver):
    """What happens, for subscribers in this process; one a process.

    Every iterator registers before it reads, then drops what it has read: nothing falls between. Any of them raises
    MailboxOverflow when its reader is too slow, and DatabaseOperationError when its first reads fail.
    """

    def candles(self, series: Series, after: Position | None, snapshot: int) -> Reading[CandleEvent]:
        """One series: the newest `snapshot` stored candles or, instead, all changes after `after`; then live."""

        async def past() -> AsyncIterator[tuple[Position, CandleEvent | None]]:
            if after is None:
                asked = AskedPage.of(series, last=snapshot)
                page = self.windows.page(asked) or (await self._db.market_data.stored.pages([asked]))[0]
                reached = page.position
                for candle in page.rows:
                    yield reached, CandleEvent(CandleEventKind.SNAPSHOT, reached, candle)
            else:
                reached = after
                kept = self.windows.changes(after)
                for candle, position in kept or ():
                    yield position, written(candle, reached, position)
                    reached = position
                while kept is None and (changes := await self._db.market_data.changes(reached, READ_ROWS)):
                    for candle, position in changes:
                        yield position, written(candle, reached, position)
                        reached = position
            self.topics.reached(series, reached.revision)
            yield reached, None

        return Reading(self.topics, series, candle_events, past=past)

    async def watch(self, series: Sequence[Series]) -> AsyncGenerator[CandleEvent, None]:
        """Many series: the newest state of each, now and at every change. A slow reader skips states, never series."""
        mailbox: Mailbox[tuple[Candle, int | None]] = Mailbox()
        newest: dict[Series, datetime] = {}

        def deliver(news: News) -> None:
            match news:
                case CandleNews(series=key, revision=revision, candles=[*_, candle]):
                    if candle.start_time >= newest.get(key, EPOCH):
                        newest[key] = candle.start_time
                        mailbox.note(key, (candle, revision))
                case FormingNews(candles=[candle]):
                    mailbox.note(candle.series, (candle, None))

        wanted = list(dict.fromkeys(series))
        with self.topics.follow(wanted, deliver):
            read = await self._db.market_data.stored.states(wanted)
            states = {key: position for key, (_, position) in read.items()}
            for key, (found, position) in read.items():
                if found is not None:
                    yield CandleEvent(CandleEventKind.SNAPSHOT, position, found.candle)
                self.topics.reached(key, position.revision)
                topic = self.topics.get(key)
                if topic is not None and topic.forming is not None:
                    mailbox.note(key, (topic.forming, None))
            while True:
                candle, revision = await mailbox.get()
                reached = states[candle.series]
                if revision is None:
                    if reached.newest is None or candle.start_time > reached.newest:
                        yield CandleEvent(CandleEventKind.FORMING, reached, candle)
                elif revision > reached.revision and (reached.newest is None or candle.start_time >= reached.newest):
                    position = Position(candle.series, revision, None, candle.start_time)
                    states[candle.series] = position
                    yield written(candle, reached, position)

    def trades(self, exchange: str, symbol: str, after: int | None, snapshot: int) -> Reading[TradesEvent]:
        """The tape of one symbol in the order of writing: its newest `snapshot` trades or, instead, all after the row
        `after`; then live."""
        tape = Tape(exchange, symbol)

        async def past() -> AsyncIterator[tuple[int, TradesEvent | None]]:
            if after is None:
                rows, reached = await self._db.tape.newest(exchange, symbol, snapshot)
                if rows:
                    yield reached, TradesEvent(exchange, symbol, reached, rows)
            else:
                reached = after
                while found := await self._db.tape.after(exchange, symbol, reached, limit=READ_ROWS):
                    reached = found[-1][0]
                    yield reached, TradesEvent(exchange, symbol, reached, [trade for _, trade in found])
            self.topics.reached(tape, reached)
            yield reached, None

        return Reading(self.topics, tape, trades_events, past=past)

    async def bots(self) -> AsyncGenerator[BotEvent, None]:
        """Every change of a bot, and every bot that falls silent."""
        mailbox: Mailbox[BotNews] = Mailbox()

        def deliver(news: News) -> None:
            if isinstance(news, BotNews):
                mailbox.put(news)

        with self.topics.follow([BOTS], deliver):
            while True:
                news = await mailbox.get()
                yield BotEvent(news.kind, news.bot)

    async def health(self) -> AsyncGenerator[Health, None]:
        """The health now, after every report of a collector and at least every TICK."""
        mailbox: Mailbox[None] = Mailbox()

        with self.topics.follow([HEALTH], lambda _: mailbox.note(HEALTH, None)):
            while True:
                yield await self.current_health()
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        await mailbox.get()

    async def current_health(self) -> Health:
        """The health as this process sees it; never raises."""
        database = await self._db.health()
        bus = BusHealth(self.connected, self.topics.followers)
        return Health(database.connected and bus.connected, datetime.now(UTC), database, self.feeds(), bus)
