"""What truly happened, worked out from the simulated market alone, by code that shares nothing with the collector's."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.market import Market, Match

TIMEFRAMES = {"5s": 5_000, "1m": 60_000, "5m": 300_000}
"""ms of each."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Prices(NamedTuple):
    """What a candle says."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trade_count: int | None


@dataclass(frozen=True, slots=True)
class TrueTrade:
    id: int
    ms: int
    price: Decimal
    size: Decimal
    side: str


class Ledger:
    """The true trades and candles of one symbol."""

    def __init__(self, symbol: str, seed: int, rate: float) -> None:
        self._spec = INSTRUMENTS[symbol]
        self._market = Market(self._spec, seed, rate)

    def trades(self, start: int, end: int) -> dict[int, TrueTrade]:
        """Those of [start, end) in ms, by id."""
        return {match.id: self._true(match) for match in self._market.between(start, end)}

    def candles(self, timeframe: str, start: int, end: int) -> dict[datetime, Prices]:
        """Those that begin in [start, end) and have a trade, by their start; the last one is whole."""
        length = TIMEFRAMES[timeframe]
        first = -(-start // length) * length
        buckets: dict[int, list[TrueTrade]] = {}
        for trade in self.trades(first, -(-end // length) * length).values():
            buckets.setdefault(trade.ms - trade.ms % length, []).append(trade)
        return {instant(ms): _fold(trades) for ms, trades in buckets.items()}

    def _true(self, match: Match) -> TrueTrade:
        price, size = Decimal(self._spec.price(match.price)), Decimal(self._spec.size(match.size))
        return TrueTrade(match.id, match.time, price, size, "buy" if match.is_buy else "sell")


def _fold(trades: list[TrueTrade]) -> Prices:
    prices = [trade.price for trade in sorted(trades, key=lambda trade: trade.id)]
    return Prices(
        prices[0], max(prices), min(prices), prices[-1], sum((t.size for t in trades), Decimal()), len(prices)
    )


def instant(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def ms_of(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
