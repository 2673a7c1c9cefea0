"""Candles of the simulated market: nothing but its matches, added up."""

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from operator import mul
from typing import NamedTuple

from collector.okx.simulator.bars import Bar
from collector.okx.simulator.instruments import LISTED, plain
from collector.okx.simulator.market import HOUR, MINUTE, Market, Slot

HISTORY = 7 * 24 * HOUR
"""How far back the exchange answers, in ms."""


class Summary(NamedTuple):
    """A stretch of matches: prices in ticks, `size` in lots, `turnover` in ticks times lots."""

    open: int
    high: int
    low: int
    close: int
    size: int
    turnover: int


class Candles:
    """Candles of one market. Whole minutes and hours are remembered, so that a second reading costs nothing."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._slot = lru_cache(maxsize=8_192)(self._sum_slot)
        self._minute = lru_cache(maxsize=12_000)(self._sum_minute)
        self._hour = lru_cache(maxsize=512)(self._sum_hour)
        self._day = lru_cache(maxsize=4)(self._sum_day)

    def row(self, bar: Bar, start: int, now: int) -> list[str]:
        """The exchange's row of the bar that opens at `start`, as seen at `now`.

        [ts, o, h, l, c, vol, volCcy, volCcyQuote, confirm]; without a trade it is flat at the previous close. A bar
        that began before the history holds what the history has of it.
        """
        end = bar.after(start)
        begin = max(start, _first(now)) if bar.months or bar.length > HISTORY // 7 else start
        found = self.summary(begin, min(end, now + 1)) or self._flat(begin)
        spec = self.market.spec
        quote_places = spec.price_places + spec.size_places
        volume, quote = spec.size(found.size), plain(found.turnover, quote_places)
        if spec.contract_places is None:
            in_coin_or_quote = quote
        else:
            in_coin_or_quote = plain(found.size, spec.size_places + spec.contract_places)
            quote = plain(found.turnover, quote_places + spec.contract_places)
        prices = [spec.price(p) for p in (found.open, found.high, found.low, found.close)]
        return [str(start), *prices, volume, in_coin_or_quote, quote, "1" if end <= now else "0"]

    def rows(self, bar: Bar, after: int, before: int, limit: int, now: int) -> list[list[str]]:
        """At most `limit` rows that open in (before, after), newest first, the open bar included."""
        found: list[list[str]] = []
        start = bar.floor(min(after - 1, now))
        while len(found) < limit and start > before and (start >= now - HISTORY or bar.after(start) > now):
            found.append(self.row(bar, start, now))
            start = bar.before(start)
        return found

    def summary(self, start: int, end: int) -> Summary | None:
        """The matches of [start, end), or None when there are none."""
        pieces: list[Summary | None] = []
        while start < end:
            if start % HOUR == 0 and start + HOUR <= end:
                pieces.append(self._hour(start))
                start += HOUR
            elif start % MINUTE == 0 and start + MINUTE <= end:
                pieces.append(self._minute(start))
                start += MINUTE
            else:
                stop = min(end, start - start % MINUTE + MINUTE)
                pieces.append(self._part(start, stop))
                start = stop
        return _merge(pieces)

    def last_day(self, now: int) -> Summary:
        """The last 24 hours, to the minute at their beginning."""
        minute = now - now % MINUTE
        return _merge([self._day(minute), self.summary(minute, now + 1)]) or self._flat(minute)

    def close_before(self, moment: int) -> int:
        """The price, in ticks, of the last match before `moment`."""
        last = self.market.last_id(moment - 1)
        return self.market.read(last, last)[0].price

    def _flat(self, moment: int) -> Summary:
        price = self.close_before(moment)
        return Summary(price, price, price, price, 0, 0)

    def _part(self, start: int, end: int) -> Summary | None:
        length = self.market.slot_length
        pieces = []
        for index in range((start - LISTED) // length, (end - 1 - LISTED) // length + 1):
            begin = LISTED + index * length
            if start <= begin and begin + length <= end:
                pieces.append(self._slot(index))
            else:
                slot = self.market.slot(index)
                pieces.append(_sum(slot, bisect_left(slot.times, start), bisect_left(slot.times, end)))
        return _merge(pieces)

    def _sum_slot(self, index: int) -> Summary | None:
        slot = self.market.slot(index)
        return _sum(slot, 0, len(slot.times))

    def _sum_minute(self, start: int) -> Summary | None:
        return self._part(start, start + MINUTE)

    def _sum_hour(self, start: int) -> Summary | None:
        return _merge(self._minute(minute) for minute in range(start, start + HOUR, MINUTE))

    def _sum_day(self, end: int) -> Summary | None:
        return self.summary(end - 24 * HOUR + MINUTE, end)


def _first(now: int) -> int:
    """The first day of the history: days, so that the start of a long bar moves once a day only."""
    start = now - HISTORY
    return max(LISTED, start - start % (24 * HOUR))


def _sum(slot: Slot, begin: int, end: int) -> Summary | None:
    """The matches at the positions [begin, end) of a slot."""
    prices, sizes = slot.prices[begin:end], slot.sizes[begin:end]
    if not prices:
        return None
    return Summary(prices[0], max(prices), min(prices), prices[-1], sum(sizes), sum(map(mul, prices, sizes)))


def _merge(pieces: Iterable[Summary | None]) -> Summary | None:
    found = [piece for piece in pieces if piece]
    if not found:
        return None
    _, highs, lows, _, sizes, turnovers = zip(*found, strict=True)
    return Summary(found[0].open, max(highs), min(lows), found[-1].close, sum(sizes), sum(turnovers))
