"""Who follows what in this process, and how far the news of each topic has come."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from repos.domain import Candle, Series
from repos.feed.gaps import OpenGaps
from repos.feed.news import (
    BotNews,
    CandleNews,
    CollectorNews,
    DeletedNews,
    Expired,
    FormingNews,
    GapNews,
    News,
    Tape,
    TradeNews,
    Written,
)

BOTS = "bots"
HEALTH = "health"
Key = Series | Tape | str
Deliver = Callable[[News], None]


@dataclass(slots=True)
class Topic:
    """`position` is up to where news was delivered: a series' revision, a tape's last row id; None before any.

    It comes from the tables, and from the news that commits with them, and never from a client: it decides what all
    followers hear.
    """

    position: int | None = None
    told: int = 0
    """The last revision of a series that was heard of, its rows or not."""
    newest: datetime | None = None
    forming: Candle | None = None
    followers: dict[int, Deliver] = field(default_factory=dict)


class Topics:
    """The topics that have followers."""

    def __init__(self, opened: Callable[[Sequence[Key]], None], epoch: Callable[[], str | None]) -> None:
        """`opened` is called with the topics that got their first follower; `epoch` gives the current one."""
        self._topics: dict[Key, Topic] = {}
        self._left: dict[Key, int] = {}
        self._opened = opened
        self._epoch = epoch
        self.followers = 0
        self.gaps = OpenGaps()

    @contextmanager
    def follow(self, keys: Sequence[Key], deliver: Deliver, count: int = 1) -> Iterator[None]:
        """Have `deliver` called with the news of these topics. It must not wait.

        It stands for `count` followers; one who follows for a varying number keeps `followers` right by itself.
        """
        identity = id(deliver)
        fresh = [key for key in keys if key not in self._topics]
        for key in keys:
            self._topics.setdefault(key, Topic()).followers[identity] = deliver
        self.followers += count
        if fresh:
            self._opened(fresh)
        try:
            yield
        finally:
            self.followers -= count
            for key in keys:
                topic = self._topics.get(key)
                if topic is not None:
                    topic.followers.pop(identity, None)
                    if not topic.followers:
                        del self._topics[key]
                        if topic.position is not None:
                            self._left[key] = topic.position

    def get(self, key: Key) -> Topic | None:
        return self._topics.get(key)

    def told(self, series: Series) -> int:
        """The last revision of the series that was heard of since somebody follows it."""
        topic = self._topics.get(series)
        return 0 if topic is None else topic.told

    def series(self) -> dict[Series, Topic]:
        return {key: topic for key, topic in self._topics.items() if isinstance(key, Series)}

    def positions(self) -> dict[Key, int]:
        """Of the topics that have one, and of those that lost their last follower and were not compared since: all
        that was told of the tables."""
        return self._left | {key: topic.position for key, topic in self._topics.items() if topic.position is not None}

    def compared(self, positions: Mapping[Key, int]) -> None:
        """These were compared with the tables."""
        self._left = {key: left for key, left in self._left.items() if left > positions.get(key, -1)}

    def reached(self, key: Key, position: int, epoch: str) -> None:
        """A follower has read the table by itself, which stood at `position`: from here on a hole in the news can be
        seen."""
        topic = self._topics.get(key)
        if topic is not None and topic.position is None and epoch == self._epoch():
            topic.position = position

    def expire(self) -> None:
        """The epoch is another: forget all that is known, and tell every follower."""
        self.gaps = OpenGaps()
        self._left.clear()
        for key in list(self._topics):
            self.expire_one(key)

    def expire_one(self, key: Key) -> None:
        """What was missed of this topic can't be told any more: its followers begin anew."""
        topic = self._topics.get(key)
        if topic is not None:
            topic.position = topic.newest = topic.forming = None
            topic.told = 0
            self._hand(topic, Expired())

    def deliver(self, news: News, *, read: bool = False) -> Key | None:
        """Hand news to its followers; news of before the topic's position is dropped.

        `read` says that the news was read from the tables, so what is missing before it was overwritten. Otherwise,
        when there is a hole before the news or its rows are not in it, nobody gets it and the topic is returned: its
        changes must be read.
        """
        match news:
            case CandleNews(series=series, revision=revision) | DeletedNews(series=series, revision=revision):
                topic = self._topics.get(series)
                if topic is None or (topic.position is not None and revision <= topic.position):
                    return None
                topic.told = max(topic.told, revision)
                if topic.position is None:
                    topic.position = revision - 1
                is_whole = isinstance(news, DeletedNews) or news.candles is not None
                if not is_whole or (revision != topic.position + 1 and not read):
                    return series
                topic.position = revision
                self._hand_written(topic, news)
            case TradeNews(tape=tape, previous_id=previous, last_id=last):
                topic = self._topics.get(tape)
                if topic is None or (topic.position is not None and last <= topic.position):
                    return None
                if topic.position is None:
                    topic.position = previous
                if news.trades is None or previous != topic.position:
                    return tape
                topic.position = last
                self._hand(topic, news)
            case FormingNews(candles=candles):
                for candle in candles:
                    topic = self._topics.get(candle.series)
                    # A forming candle may cross its own final one on the way here.
                    if topic is not None and (topic.newest is None or candle.start_time > topic.newest):
                        topic.forming = candle
                        self._hand(topic, FormingNews([candle]))
            case GapNews(tape=tape):
                if self.gaps.heard(news):
                    for key, topic in list(self._topics.items()):
                        if isinstance(key, Series | Tape) and (key.exchange, key.symbol) == tape:
                            self._hand(topic, news)
            case BotNews():
                self._hand(self._topics.get(BOTS), news)
            case CollectorNews():
                self._hand(self._topics.get(HEALTH), news)
        return None

    def _hand_written(self, topic: Topic, news: Written) -> None:
        if isinstance(news, DeletedNews):
            topic.newest = news.deletion.lowered(topic.newest)
            self._hand(topic, news)
            if topic.forming is not None:  # which followers who saw it in the range have dropped
                self._hand(topic, FormingNews([topic.forming]))
            return
        topic.newest = max(topic.newest or news.last, news.last)
        if topic.forming is not None and topic.forming.start_time <= topic.newest:
            topic.forming = None
        self._hand(topic, news)

    def _hand(self, topic: Topic | None, news: News) -> None:
        if topic is not None:
            for deliver in list(topic.followers.values()):
                deliver(news)
