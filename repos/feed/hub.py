"""The feed: candles, trades, bots and health as async iterators with no hole between snapshot, resume and live."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from repos.candle_reader import AskedPage
from repos.domain import EPOCH, Candle, InvalidValue, Series, shown
from repos.errors import CursorExpired
from repos.events import (
    BotEvent,
    BusHealth,
    CandleEvent,
    CandleEventKind,
    Health,
    Position,
    TapePosition,
    TimeRange,
    TradesEvent,
)
from repos.feed.mailbox import Mailbox
from repos.feed.news import BotNews, CandleNews, DeletedNews, Expired, FormingNews, News, Tape
from repos.feed.reading import Reading, candle_events, changed, expired, trades_events
from repos.feed.receiver import TICK, Receiver
from repos.feed.topics import BOTS, HEALTH

ANSWER_WITHIN = 1.0
"""Seconds that a query waits for the answers of collectors, which were asked when this process began."""
CERTAIN_WITHIN = 3.0
"""The same of a subscription that would begin with saying that nobody collects."""
K = TypeVar("K", Series, Tape)
READ_ROWS = 1_000
"""Rows read at a time by a subscriber that resumes."""


class Feed(Receiver):
    """What happens, for subscribers in this process; one a process.

    Every iterator registers before it reads, then drops what it has read: nothing falls between. Any of them raises
    MailboxOverflow when its reader is too slow, CursorExpired when the epoch ends or `after` does not count in it, and
    DatabaseOperationError when its reads fail: its first ones, and that of a watcher after a deletion.
    """

    def candles(self, series: Series, after: Position | None, snapshot: int) -> Reading[CandleEvent]:
        """One series: the newest `snapshot` stored candles or, instead, all changes after `after`; then live."""

        async def past() -> AsyncIterator[tuple[Position, CandleEvent | None]]:
            if after is None:
                asked = AskedPage.of(series, last=snapshot)
                [hot] = await self.windows.pages([asked])
                page = hot or (await self._db.market_data.stored.pages([asked]))[0]
                reached = table = page.position
                for candle in page.rows:
                    yield reached, CandleEvent(CandleEventKind.SNAPSHOT, reached, candle)
            else:
                await self._counts(after.epoch)
                reached = after
                hot_changes = await self.windows.changes(after)
                if hot_changes is None:
                    table = await self._db.market_data.position(series)
                    _within(after.revision, table.revision)
                    changes = await self._db.market_data.changes(reached, READ_ROWS)
                else:
                    changes, table = hot_changes
                # What a client knows is as it says; where its reader stands is as the table says.
                stands = table
                while changes:
                    for change, position in changes:
                        yield position, changed(change, reached, position)
                        if position.revision > table.revision:
                            stands = stands.after(position.revision, change)
                        reached = position
                    changes = [] if hot_changes else await self._db.market_data.changes(reached, READ_ROWS)
                reached = stands
            self.topics.reached(series, table.revision, table.epoch)
            # A series of which all was deleted is as empty as one that was never written.
            if reached.newest is None and await self._uncollected([series]):
                yield reached, CandleEvent(CandleEventKind.NOT_COLLECTED, reached)
            yield reached, None

        return Reading(self.topics, series, candle_events, past=past)

    async def watch(self, series: Sequence[Series]) -> AsyncGenerator[CandleEvent, None]:
        """Many series: the newest state of each, now and at every change. A slow reader skips states, never series.

        Each deletion is told, and what is the newest after it.
        """
        mailbox: Mailbox[tuple[Candle, int | None] | DeletedNews] = Mailbox()
        newest: dict[Series, datetime] = {}

        def deliver(news: News) -> None:
            match news:
                case CandleNews(series=key, revision=revision, candles=[*_, candle]):
                    if candle.start_time >= newest.get(key, EPOCH):
                        newest[key] = candle.start_time
                        mailbox.note(key, (candle, revision))
                case FormingNews(candles=[candle]):
                    mailbox.note(candle.series, (candle, None))
                case DeletedNews(series=key, deletion=deletion):
                    newest[key] = deletion.lowered(newest.get(key)) or EPOCH
                    mailbox.put(news)
                case Expired():
                    mailbox.fail(expired)

        wanted = list(dict.fromkeys(series))
        with self.topics.follow(wanted, deliver):
            read = await self._db.market_data.stored.states(wanted)
            states = {key: position for key, (_, position) in read.items()}
            begun = {key: position.revision for key, position in states.items()}
            for key, (found, position) in read.items():
                if found is not None:
                    yield CandleEvent(CandleEventKind.SNAPSHOT, position, found.candle)
                self.topics.reached(key, position.revision, position.epoch)
                topic = self.topics.get(key)
                if topic is not None and topic.forming is not None:
                    mailbox.note(key, (topic.forming, None))
            empty = [key for key, position in states.items() if position.newest is None]
            for key in await self._uncollected(empty, "series[{}].symbol", wanted):
                yield CandleEvent(CandleEventKind.NOT_COLLECTED, states[key])
            while True:
                news = await mailbox.get()
                if isinstance(news, DeletedNews):
                    if news.revision > begun[news.series]:
                        for event in await self._left(news):
                            states[news.series] = event.position
                            yield event
                    continue
                candle, revision = news
                reached = states[candle.series]
                if revision is None:
                    if reached.newest is None or candle.start_time > reached.newest:
                        yield CandleEvent(CandleEventKind.FORMING, reached, candle)
                elif revision > reached.revision and (reached.newest is None or candle.start_time >= reached.newest):
                    position = Position(candle.series, revision, None, candle.start_time, reached.epoch)
                    states[candle.series] = position
                    yield changed(candle, reached, position)

    async def _left(self, news: DeletedNews) -> list[CandleEvent]:
        """What a watcher is told of a deletion: its range, and what is the newest by now."""
        states = await self._db.market_data.stored.states([news.series])
        found, position = states[news.series]
        gap = TimeRange(news.deletion.start, news.deletion.end)
        events = [CandleEvent(CandleEventKind.DELETED, position, None, gap)]
        if found is not None:
            events.append(CandleEvent(CandleEventKind.SNAPSHOT, position, found.candle))
        return events

    def trades(self, exchange: str, symbol: str, after: TapePosition | None, snapshot: int) -> Reading[TradesEvent]:
        """The tape of one symbol in the order of writing: its newest `snapshot` trades or, instead, all after `after`;
        then live."""
        tape = Tape(exchange, symbol)

        async def past() -> AsyncIterator[tuple[TapePosition, TradesEvent | None]]:
            epoch = await self._db.epoch.known()
            if after is None:
                rows, last = await self._db.tape.newest(exchange, symbol, snapshot)
                reached = TapePosition(last, epoch)
                if rows:
                    yield reached, TradesEvent(exchange, symbol, reached, rows)
            else:
                await self._counts(after.epoch)
                last = (await self._db.tape.last_ids([tape])).get(tape, 0)
                _within(after.row, last)
                reached = after
                while found := await self._db.tape.after(exchange, symbol, reached.row, limit=READ_ROWS):
                    reached = TapePosition(found[-1][0], epoch)
                    yield reached, TradesEvent(exchange, symbol, reached, [trade for _, trade in found])
            self.topics.reached(tape, last, epoch)
            if not last and await self._uncollected([tape]):
                yield reached, TradesEvent(exchange, symbol, reached, [], is_collected=False)
            yield reached, None

        return Reading(self.topics, tape, trades_events, past=past)

    async def _uncollected(self, empty: Sequence[K], name: str = "symbol", given: Sequence[K] | None = None) -> list[K]:
        """Those of `empty`, of which nothing is stored, that nobody collects.

        Raises:
            InvalidValue: One of these is of a symbol that nobody knows; `name` is the argument that it came in, with
                its place in `given`.
            DatabaseOperationError: The database failed.
        """
        collectors = self.collectors
        if await collectors.known(lambda: all(map(collectors.follow, empty)), CERTAIN_WITHIN):
            return []
        silent = [key for key in empty if not collectors.follow(key)]
        unknown = await self._db.instruments.unknown([(key.exchange, key.symbol) for key in silent])
        unknown -= collectors.symbols()
        for key in silent:
            if (key.exchange, key.symbol) in unknown:
                raise InvalidValue(
                    name.format((given or empty).index(key)),
                    f"{shown(key.symbol)} is no known instrument of {key.exchange}, nothing is stored of it, and nobody"
                    " collects it",
                )
        return silent

    async def _counts(self, epoch: str) -> None:
        """See that positions of `epoch` count.

        Raises:
            CursorExpired: It is not the current one.
        """
        if epoch != await self._db.epoch.known():
            raise CursorExpired(
                "after: is a cursor of another database, or of a state that this one lost: begin anew, with a snapshot"
            )

    async def bots(self) -> AsyncGenerator[BotEvent, None]:
        """Every change of a bot, and every bot that falls silent."""
        mailbox: Mailbox[BotNews] = Mailbox()

        def deliver(news: News) -> None:
            match news:
                case BotNews():
                    mailbox.put(news)
                case Expired():
                    mailbox.fail(expired)

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

    async def collected(self) -> set[Series]:
        """The candles that anybody collects. In a process that began just now collectors have a moment to answer."""
        await self.collectors.known(lambda: bool(self.collectors.reports()), ANSWER_WITHIN)
        return self.collectors.series()

    async def current_health(self) -> Health:
        """The health as this process sees it; never raises."""
        database = await self._db.health()
        bus = BusHealth(self.connected, self.topics.followers)
        waiting = self.collectors.waiting()
        healthy = database.connected and bus.connected and waiting is None
        return Health(healthy, datetime.now(UTC), database, self.collectors.feeds(), bus, waiting)


def _within(position: int, stored: int) -> None:
    """See that a client's position is not beyond what is stored.

    Raises:
        CursorExpired: It is.
    """
    if position > stored:
        raise CursorExpired("after: is a cursor from beyond what is stored: begin anew, with a snapshot")
