"""Who subscribed to what: each topic is worked out once and handed to all its readers."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from collector.okx.simulator.candles import Candles
from collector.okx.simulator.topics import Push, Topic, bar_of, topic


class Reader(Protocol):
    def push(self, channel: str, inst_id: str, push: Push, /) -> None:
        """Take what happened in a topic without waiting: a slow reader must not hold the others up."""


class Topics:
    """The topics that someone subscribed to, with those who did."""

    def __init__(self, markets: dict[str, Candles], clock: Callable[[], int]) -> None:
        self.markets = markets
        self.clock = clock
        self._topics: dict[tuple[str, str], Topic] = {}
        self._readers: dict[tuple[str, str], set[Reader]] = {}

    async def prepare(self, channel: str, inst_id: str) -> None:
        """Have what a first look at this topic needs remembered. Raises KeyError for a topic that there is not.

        A day of matches takes a third of a second to make, which must not hold the pushes up.
        """
        candles, now = self.markets[inst_id], self.clock()
        if channel == "tickers":
            await asyncio.to_thread(candles.last_day, now)
        elif length := bar_of(channel):
            await asyncio.to_thread(candles.row, length, length.floor(now), now)

    def join(self, reader: Reader, channel: str, inst_id: str) -> Push:
        """Subscribe, and return what a new subscriber gets at once. Raises KeyError for a topic that there is not."""
        name, now = (channel, inst_id), self.clock()
        if name in self._topics:
            # The others get what happened until now first, so that the newcomer's past ends where its pushes begin.
            self._advance(name, now)
        else:
            found = topic(channel, self.markets[inst_id], now)
            if found is None:
                raise KeyError(channel)
            self._topics[name] = found
            self._readers[name] = set()
        self._readers[name].add(reader)
        return self._topics[name].first(now)

    def leave(self, reader: Reader, channel: str, inst_id: str) -> None:
        """Unsubscribe; nothing happens for who is not subscribed."""
        name = (channel, inst_id)
        readers = self._readers.get(name, set())
        readers.discard(reader)
        if not readers and name in self._topics:
            del self._topics[name], self._readers[name]

    def step(self, now: int) -> None:
        """Push to everyone what happened until `now`."""
        for name in list(self._topics):
            self._advance(name, now)

    def _advance(self, name: tuple[str, str], now: int) -> None:
        for push in self._topics[name].advance(now):
            for reader in self._readers[name]:
                reader.push(*name, push)
