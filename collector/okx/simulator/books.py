"""The order book: like everything here a pure function of time, so that any two readers see the same one."""

from dataclasses import dataclass

from collector.okx.simulator.dice import key, mix
from collector.okx.simulator.market import Market

STEP = 100
"""ms between two states of the book; OKX pushes books and books5 this often."""
DEPTHS = {"bbo-tbt": 1, "books5": 5, "books": 20}
"""Levels on a side. OKX's books has 400; the rest of them would teach a client nothing."""

Side = dict[int, int]
"""Price in ticks to size in lots, best first."""


@dataclass(frozen=True, slots=True)
class Book:
    """The state of a book. `sequence` grows with every state."""

    sequence: int
    asks: Side
    bids: Side


def book(market: Market, moment: int, depth: int) -> Book:
    """The book as it stands from `moment` rounded down to STEP: one tick wide around the last match."""
    sequence = moment // STEP
    last = market.last_id(sequence * STEP)
    (match,) = market.read(last, last)
    bid = match.price - match.is_buy
    size = _Sizes(market, sequence)
    return Book(
        sequence,
        {price: size.at(price, 1) for price in range(bid + 1, bid + 1 + depth)},
        {price: size.at(price, 2) for price in range(bid, max(0, bid - depth), -1)},
    )


@dataclass(frozen=True, slots=True)
class _Sizes:
    market: Market
    sequence: int

    def at(self, price: int, side: int) -> int:
        """The size at a level. Some levels change with every state, some keep for ten seconds."""
        seed = key(self.market.spec.inst_id, side)
        patience = mix(seed + price) & 7
        dice = mix(seed ^ mix(price) + (self.sequence + price >> patience))
        return (self.market.spec.typical_size * (1 + (dice & 1023)) << (dice >> 16 & 0xFF).bit_count()) // 1024 + 1


def snapshot(market: Market, now: Book, moment: int) -> dict[str, object]:
    """The whole book. The checksum is 0, as in production since June 2026."""
    return _rows(market, now.asks, now.bids, moment, now.sequence, -1)


def update(market: Market, before: Book, now: Book, moment: int) -> dict[str, object]:
    """What changed between two states; a size of "0" deletes a level."""
    asks, bids = _difference(before.asks, now.asks), _difference(before.bids, now.bids)
    return _rows(market, asks, bids, moment, now.sequence, before.sequence)


def _difference(before: Side, now: Side) -> Side:
    gone = dict.fromkeys(before.keys() - now.keys(), 0)
    return dict(sorted((gone | {price: size for price, size in now.items() if before.get(price) != size}).items()))


def _rows(market: Market, asks: Side, bids: Side, moment: int, sequence: int, previous: int) -> dict[str, object]:
    return {
        "asks": _levels(market, asks),
        "bids": _levels(market, bids),
        "instId": market.spec.inst_id,
        "ts": str(moment),
        "checksum": 0,
        "seqId": sequence,
        "prevSeqId": previous,
    }


def _levels(market: Market, side: Side) -> list[list[str]]:
    spec = market.spec
    return [[spec.price(p), spec.size(s), "0", str(1 + s % 23) if s else "0"] for p, s in side.items()]
