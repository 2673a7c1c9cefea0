"""The channels: what is pushed to those who subscribed, worked out once however many they are."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from collector.okx.simulator.bars import Bar, bar
from collector.okx.simulator.books import DEPTHS, STEP, Book, book, snapshot, update
from collector.okx.simulator.candles import Candles
from collector.okx.simulator.dice import mix
from collector.okx.simulator.market import Market
from collector.okx.simulator.rows import aggregated, by_order, frame, single, ticker

PUBLIC = frozenset({"trades", "tickers", *DEPTHS})
"""Channels of /ws/v5/public; trades-all and the candles are on /ws/v5/business."""


class Push(NamedTuple):
    text: bytes
    trade_id: int | None = None
    """Of the last match in it, when it is a frame of trades."""


class Topic(Protocol):
    """One channel of one instrument."""

    def first(self, now: int, /) -> Push:
        """What a new subscriber gets at once. What `advance` yields later follows on it without a gap."""

    def advance(self, now: int) -> Iterator[Push]:
        """What happened since the last call, in order; nothing when `now` is before it."""


def topic(channel: str, candles: Candles, now: int) -> Topic | None:
    """The topic of this name, its past ending at `now`, or None when the exchange has none."""
    if channel in ("trades", "trades-all"):
        return Trades(channel, candles.market, now)
    if channel == "tickers":
        return Tickers(candles, now)
    if channel in DEPTHS:
        return Books(channel, candles.market, now)
    length = bar_of(channel)
    return CandleTopic(channel, length, candles, now) if length else None


def bar_of(channel: str) -> Bar | None:
    """The candle length of a channel candle<bar>, None for any other."""
    return bar(channel.removeprefix("candle")) if channel.startswith("candle") else None


class Trades:
    """trades (a frame per taker order and price) and trades-all (a frame per match)."""

    def __init__(self, channel: str, market: Market, now: int) -> None:
        self._channel = channel
        self._market = market
        self._last = market.last_id(now)

    def first(self, _: int) -> Push:
        """The latest past trade."""
        return list(self._frames(self._last - 16, self._last))[-1]

    def advance(self, now: int) -> Iterator[Push]:
        first, self._last = self._last + 1, max(self._last, self._market.last_id(now))
        return self._frames(first, self._last)

    def _frames(self, first: int, last: int) -> Iterator[Push]:
        spec = self._market.spec
        for group in by_order(self._market.read(first, last)):
            if self._channel == "trades":
                yield Push(frame("trades", spec.inst_id, [aggregated(spec, group)]), group[-1].id)
            elif len(group) > 1 and not mix(group[0].id) % 32:
                # The array allows for several; clients that read only the first should be found out.
                yield Push(frame("trades-all", spec.inst_id, [single(spec, m) for m in group]), group[-1].id)
            else:
                for match in group:
                    yield Push(frame("trades-all", spec.inst_id, [single(spec, match)]), match.id)


class Tickers:
    """tickers: when there was a trade, at most every 100 ms, so it skips trades."""

    def __init__(self, candles: Candles, now: int) -> None:
        self._candles = candles
        self._pushed_at = now
        self._last = candles.market.last_id(now)

    def first(self, now: int) -> Push:
        return Push(frame("tickers", self._candles.market.spec.inst_id, [ticker(self._candles, now)]))

    def advance(self, now: int) -> Iterator[Push]:
        if now - self._pushed_at >= 100 and (last := self._candles.market.last_id(now)) != self._last:
            self._last, self._pushed_at = last, now
            yield self.first(now)


class Books:
    """books5 and bbo-tbt are snapshots each time; books begins with a snapshot and goes on with what changed."""

    def __init__(self, channel: str, market: Market, now: int) -> None:
        self._channel = channel
        self._market = market
        self._book = self._at(now)

    def first(self, now: int) -> Push:
        return self._push("snapshot", snapshot(self._market, self._book, now))

    def advance(self, now: int) -> Iterator[Push]:
        if now // STEP <= self._book.sequence:
            return
        before, self._book = self._book, self._at(now)
        if self._channel == "books":
            yield self._push("update", update(self._market, before, self._book, now))
        else:
            yield self.first(now)

    def _at(self, now: int) -> Book:
        return book(self._market, now, DEPTHS[self._channel])

    def _push(self, action: str, data: dict[str, object]) -> Push:
        text = frame(self._channel, self._market.spec.inst_id, [data])
        if self._channel == "books":
            text = text.replace(b',"data"', b',"action":"%s","data"' % action.encode(), 1)
        return Push(text)


class CandleTopic:
    """candle<bar>: at most one push a second, and each bar once more, confirmed, when it has closed."""

    def __init__(self, channel: str, length: Bar, candles: Candles, now: int) -> None:
        self._channel = channel
        self._bar = length
        self._candles = candles
        self._pushed_at = now
        self._start = length.floor(now)
        self._row = candles.row(length, self._start, now)

    def first(self, _: int) -> Push:
        return self._push(self._row)

    def advance(self, now: int) -> Iterator[Push]:
        if now - self._pushed_at < 1_000:
            return
        self._pushed_at = now
        while (following := self._bar.after(self._start)) <= now:
            yield self._push(self._candles.row(self._bar, self._start, now))
            self._start = following
        row = self._candles.row(self._bar, self._start, now)
        if row != self._row:
            self._row = row
            yield self._push(row)

    def _push(self, row: list[str]) -> Push:
        return Push(frame(self._channel, self._candles.market.spec.inst_id, [row]))
