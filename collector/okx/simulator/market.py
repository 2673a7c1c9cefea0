"""The market itself: a pure function of (seed, rate, time) that can be asked anywhere, in any order.

Ids are contiguous because every hour holds the same number of matches. The hour shares them out among its minutes, a
minute among its slots, and a slot is the piece that is made (and remembered) at once: so an id leads to its time and
a time to its ids without counting from the beginning.
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, chain, repeat
from math import isqrt
from typing import NamedTuple

from collector.okx.simulator.dice import GAP, MATCHES, STEP, WEIGHT, key, mix, throw
from collector.okx.simulator.instruments import LISTED, Spec

MINUTE = 60_000
HOUR = 60 * MINUTE
_SLOTS = (MINUTE, 30_000, 15_000, 10_000, 5_000, 2_000, 1_000, 500, 250, 100, 50, 20, 10)
_PER_SLOT = 320
"""A slot of this many matches is made in about 0.2 ms, which no connection notices."""
_SLOWEST = 30 * 24 * HOUR
"""The longest swing of the price."""
_FRACTION = 8
"""Prices are worked out in 1/256 of a tick and rounded at the end."""


class Match(NamedTuple):
    """One match of a taker order. `time` is in ms, `price` in ticks, `size` in lots (see Spec)."""

    id: int
    time: int
    price: int
    size: int
    is_buy: bool
    order: int
    """The id of the order's first match: matches of one taker order share it, and their time and side."""
    is_elp: bool
    """Whether it was met by the liquidity programme (OKX's source "1")."""


class Slot(NamedTuple):
    """The matches of a short stretch, as columns."""

    first_id: int
    times: list[int]
    prices: list[int]
    sizes: list[int]
    orders: list[int]
    """Positions of the order's first match within the slot."""
    marks: list[int]
    """Of each match's order: bit 0 a buy, bit 1 met by the liquidity programme."""


class Market:
    """The matches of one instrument since LISTED.

    `rate` multiplies the number of matches; another rate is another market.
    """

    def __init__(self, spec: Spec, seed: int, rate: float = 1.0) -> None:
        self.spec = spec
        self._seed = key(seed, spec.inst_id)
        # IEEE multiplication and truncation are exact everywhere.
        self._per_hour = 60 * max(1, int(spec.per_minute * rate + 0.5))
        self.slot_length = next((s for s in _SLOTS if self._per_hour * s <= _PER_SLOT * HOUR), _SLOTS[-1])
        self._slots_per_minute = MINUTE // self.slot_length
        volatility = spec.base_price * spec.volatility << _FRACTION
        self._swing = max(1, volatility // 1_000_000 * isqrt(self.slot_length) // isqrt(MINUTE))
        periods = range((_SLOWEST // self.slot_length).bit_length())
        # A swing twice as long is the square root of two as wide: that is what makes the path look like a random walk.
        # Swings belong to the coin, so that a swap follows its spot market.
        self._octaves = [
            (k, self._swing * isqrt(1 << (k + 16)) >> 8, key(seed, spec.coin, self.slot_length << k)) for k in periods
        ]
        self._hour = lru_cache(maxsize=512)(self._shares)
        self._level = lru_cache(maxsize=512)(self._price_at)
        self.slot = lru_cache(maxsize=512)(self._make)
        """The slot of an index: slots are `slot_length` ms long and counted from LISTED."""

    def last_id(self, moment: int) -> int:
        """The id of the newest match at or before `moment`, or -1 before the market opened."""
        if moment < LISTED:
            return -1
        minute, inside = divmod(moment - LISTED, MINUTE)
        slot = self.slot(minute * self._slots_per_minute + inside // self.slot_length)
        return slot.first_id + bisect_right(slot.times, moment) - 1

    def between(self, start: int, end: int) -> list[Match]:
        """The matches of [start, end) in ms, oldest first."""
        return self.read(self.last_id(start - 1) + 1, self.last_id(end - 1))

    def read(self, first: int, last: int) -> list[Match]:
        """The matches with the ids `first` to `last`, both included, in order."""
        found: list[Match] = []
        while first <= last:
            slot = self.slot(self._slot_of(first))
            start = first - slot.first_id
            stop = min(len(slot.times), last - slot.first_id + 1)
            found += [
                Match(
                    slot.first_id + i,
                    slot.times[i],
                    slot.prices[i],
                    slot.sizes[i],
                    bool(slot.marks[i] & 1),
                    slot.first_id + slot.orders[i],
                    bool(slot.marks[i] & 2),
                )
                for i in range(start, stop)
            ]
            first = slot.first_id + stop
        return found

    def _shares(self, hour: int) -> list[int]:
        """How many matches of the hour come before each of its minutes, and of the whole hour."""
        dice = throw(self._seed, -1 - hour, 120)
        weights = [WEIGHT[dice[m]] if dice[60 + m] >= self.spec.quiet else 0 for m in range(60)]
        total = sum(weights)
        return [self._per_hour * share // total for share in accumulate(weights, initial=0)]

    def _slot_of(self, match_id: int) -> int:
        hour, inside = divmod(match_id, self._per_hour)
        shares = self._hour(hour)
        minute = bisect_right(shares, inside) - 1
        count = shares[minute + 1] - shares[minute]
        slot = ((inside - shares[minute] + 1) * self._slots_per_minute - 1) // count
        return (hour * 60 + minute) * self._slots_per_minute + slot

    def _extent(self, index: int) -> tuple[int, int]:
        """The first id of a slot and the number of its matches."""
        minute, part = divmod(index, self._slots_per_minute)
        hour, of_hour = divmod(minute, 60)
        shares = self._hour(hour)
        count = shares[of_hour + 1] - shares[of_hour]
        begin, end = count * part // self._slots_per_minute, count * (part + 1) // self._slots_per_minute
        return hour * self._per_hour + shares[of_hour] + begin, end - begin

    def _make(self, index: int) -> Slot:
        first_id, count = self._extent(index)
        if not count:
            return Slot(first_id, [], [], [], [], [])
        dice = throw(self._seed, index, 5 * count + 1)
        waits, steps, kinds, sizes = (dice[start : start + count] for start in range(count + 1, len(dice), count))
        takes = list(_takes(dice[:count], count))
        orders = len(takes)
        ends = list(accumulate(map(GAP.__getitem__, dice[count : count + orders + 1])))
        start = LISTED + index * self.slot_length
        times = [start + end * self.slot_length // ends[-1] for end in ends[:-1]]
        marks = [(byte & 1) | (2 if byte >= 252 else 0) for byte in kinds[:orders]]
        path = self._path(index, list(accumulate(map(STEP.__getitem__, steps[:orders]))))
        # The taker pays the spread of a tick, and a large order eats through a level after its second match.
        prices = [
            price + (mark & 1) + (0 if place < 2 else 1 if mark & 1 else -1)
            for price, mark, matches in zip(path, marks, takes, strict=True)
            for place in range(matches)
        ]
        typical = self.spec.typical_size
        return Slot(
            first_id,
            list(chain.from_iterable(map(repeat, times, takes))),
            prices,
            [
                (typical * ((1 + fine << 7 + byte.bit_count() + fine.bit_count()) + byte * fine) >> 22) + 1
                for byte, fine in zip(sizes, waits, strict=True)
            ],
            list(chain.from_iterable(map(repeat, accumulate(takes, initial=0), takes))),
            list(chain.from_iterable(map(repeat, marks, takes))),
        )

    def _path(self, index: int, walk: list[int]) -> list[int]:
        """Prices in ticks: a random walk bent so that it leads from this slot's level to the next's."""
        steps = len(walk)
        scale = self._swing // (1 + isqrt(2 * steps))
        low, high = self._level(index), self._level(index + 1)
        slope = high - low - walk[-1] * scale
        return [low + step * scale + slope * place // steps >> _FRACTION for place, step in enumerate(walk, 1)]

    def _price_at(self, index: int) -> int:
        """The level at the beginning of a slot, in 1/256 ticks: swings of all lengths laid over each other."""
        level = self.spec.base_price << _FRACTION
        for k, width, seed in self._octaves:
            whole, part = index >> k, index & ((1 << k) - 1)
            here, there = (mix(seed + whole) >> 48) - 32_768, (mix(seed + whole + 1) >> 48) - 32_768
            level += ((here << k) + (there - here) * part) * width >> (k + 15)
        return level


def _takes(dice: bytes, left: int) -> Iterator[int]:
    """How many matches each order makes of the `left` ones there are."""
    for byte in dice:
        if left <= 0:
            return
        yield min(MATCHES[byte], left)
        left -= MATCHES[byte]
