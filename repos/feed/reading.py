"""One topic as one subscriber reads it: what is past, then live, with no hole between."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Generic, Self, TypeVar

from repos.domain import Series
from repos.errors import CursorExpired
from repos.events import (
    CandleEvent,
    CandleEventKind,
    Change,
    Deletion,
    Position,
    TapePosition,
    TimeRange,
    TradesEvent,
)
from repos.feed.mailbox import Mailbox
from repos.feed.news import CandleNews, DeletedNews, Expired, FormingNews, GapNews, News, Tape, TradeNews
from repos.feed.topics import Topics

E = TypeVar("E", bound=CandleEvent | TradesEvent)

Step = Callable[[News, Any], Sequence[E]]
"""The events that news makes for a reader at that position; the last one's position is where the reader stands then."""
Past = Callable[[], AsyncIterator[tuple[Any, E | None]]]
"""Events with the position after each; the last may be a position alone."""


class Reading(Generic[E]):
    """An async iterator over the events of one topic; or, for a reader that shares what is live, its parts.

    The parts, in this order: `registered`, all of `past`, then `next` for ever. While nothing is `waiting`, all news
    that this process has heard is read: readings of one key at the same `place` get the same from there on.
    """

    def __init__(
        self, topics: Topics, key: Series | Tape, step: Step[E], *, past: Past[E] | None = None, position: Any = None
    ) -> None:
        """Begins with `past` or, where that was read already, at `position`."""
        self.topics = topics
        self.key = key
        self.step = step
        self.position = position
        self._past = past
        self._mailbox: Mailbox[News] = Mailbox()
        self._events: AsyncGenerator[E, None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        if self._events is None:
            self._events = self._all()
        return await anext(self._events)

    async def aclose(self) -> None:
        if self._events is not None:
            await self._events.aclose()

    async def _all(self) -> AsyncGenerator[E, None]:
        with self.registered():
            async for event in self.past():
                yield event
            while True:
                for event in await self.next():
                    yield event

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Keep news from here on. Comes before anything is read, so that nothing falls between.

        Who begins here hears of all gaps that are open, between what is past and what is live.
        """
        with self.topics.follow([self.key], self.keep):
            if self._past is not None:
                for gap in self.topics.gaps.of(self.key):
                    # Of no size: however many there are, nobody was too slow for them.
                    self._mailbox.put(gap, 0)
            yield

    async def past(self) -> AsyncIterator[E]:
        """What was written before, as far as it was asked for.

        Raises:
            DatabaseOperationError: It could not be read.
            CursorExpired: It was to begin at a position that does not count here.
        """
        if self._past is None:
            return
        async for position, event in self._past():
            self.position = position
            if event is not None:
                yield event
        topic = self.topics.get(self.key)
        if topic is not None and topic.forming is not None:
            self.keep(FormingNews([topic.forming]))

    @property
    def waiting(self) -> bool:
        return self._mailbox.waiting

    @property
    def place(self) -> object:
        """The position, once nothing is waiting: all of its revision is read then, whichever row was the last."""
        return place(self.position)

    async def next(self) -> Sequence[E]:
        """The events of the next news, perhaps none; waits for news.

        Raises:
            MailboxOverflow: The reader was too slow.
            CursorExpired: The epoch is another.
        """
        events = self.step(await self._mailbox.get(), self.position)
        if events:
            self.position = events[-1].position
        return events

    def keep(self, news: News) -> None:
        """Put news by until it is read: the newest forming candle, and all that was written."""
        match news:
            case FormingNews():
                self._mailbox.note(self.key, news)
            case CandleNews(candles=rows) | TradeNews(trades=rows) if rows:
                self._mailbox.put(news, len(rows))
            case GapNews():
                self._mailbox.put(news)
            case DeletedNews():
                self._mailbox.put(news)
                # It may be of before the deletion. The topic tells anew which candle is forming.
                self._mailbox.forget(self.key)
            case Expired():
                self._mailbox.fail(expired)


def expired() -> CursorExpired:
    """What a follower gets when the epoch ends."""
    return CursorExpired("the database was replaced, or lost what was told of it: begin anew, with a snapshot")


def place(position: Position | TapePosition) -> Position | TapePosition:
    return position._replace(start=None) if isinstance(position, Position) else position


def candle_events(news: News, position: Position) -> list[CandleEvent]:
    """A Step: CLOSED, CORRECTED and DELETED for what was written after `position`, FORMING for what is newer than that,
    GAP for the candles that a gap in the trades touches."""
    match news:
        case FormingNews(candles=[candle]) if position.newest is None or candle.start_time > position.newest:
            return [CandleEvent(CandleEventKind.FORMING, position, candle)]
        case CandleNews(revision=revision, candles=[*candles]) if revision > position.revision:
            events = []
            for candle in candles:
                after = position.after(revision, candle)
                events.append(changed(candle, position, after))
                position = after
            return events
        case DeletedNews(revision=revision, deletion=deletion) if revision > position.revision:
            return [changed(deletion, position, position.after(revision, deletion))]
        case GapNews():
            timeframe = position.series.timeframe
            gap = TimeRange(timeframe.floor(news.after), timeframe.end(timeframe.floor(news.before)))
            return [CandleEvent(CandleEventKind.GAP, position, None, gap)]
    return []


def trades_events(news: News, position: TapePosition) -> list[TradesEvent]:
    """A Step."""
    match news:
        case TradeNews(tape=tape, last_id=last, trades=[*trades], ids=ids) if last > position.row:
            if ids is not None:
                trades = [trade for row, trade in zip(ids, trades, strict=True) if row > position.row]
            return [TradesEvent(tape.exchange, tape.symbol, position._replace(row=last), trades)]
        case GapNews(tape=tape, after=after, before=before):
            # The end is exclusive, and the last missing trade may be of the same moment as the one after it. Moments
            # are told in milliseconds.
            gap = TimeRange(after, before + timedelta(milliseconds=1))
            return [TradesEvent(tape.exchange, tape.symbol, position, [], gap)]
    return []


def changed(change: Change, before: Position, position: Position) -> CandleEvent:
    """What a reader at `before` is told of a change, behind which it stands at `position`."""
    if isinstance(change, Deletion):
        return CandleEvent(CandleEventKind.DELETED, position, None, TimeRange(change.start, change.end))
    newer = before.newest is None or change.start_time > before.newest
    return CandleEvent(CandleEventKind.CLOSED if newer else CandleEventKind.CORRECTED, position, change)
