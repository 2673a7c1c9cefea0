"""Trades told by id and second, and the plain recomputation that everything folded is compared with."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal

from repos.domain import EXACT, Candle, Origin, Series, Timeframe, Trade, TradeRecord
from tests import builders
from tests.builders import NOON

SECOND = timedelta(seconds=1)


def a_trade(
    trade_id: int,
    second: float = 0.0,
    price: str = "100",
    size: str = "1",
    count: int = 1,
    symbol: str = "BTC-USDT",
) -> Trade:
    """A trade so many seconds after NOON, or before."""
    timestamp = NOON + timedelta(milliseconds=round(second * 1000))
    return builders.a_trade(trade_id=trade_id, timestamp=timestamp, price=price, size=size, count=count, symbol=symbol)


def records(*trades: Trade) -> list[TradeRecord]:
    names = [field.name for field in fields(Trade)]
    return [builders.a_record(**{name: getattr(trade, name) for name in names}) for trade in trades]


def plain(trades: Iterable[Trade], timeframe: str, *, is_final: bool = True) -> list[Candle]:
    """The candles of the trades of one symbol, none of them twice: written as anyone would, to compare with."""
    frame = Timeframe(timeframe)
    buckets: dict[datetime, list[Trade]] = {}
    for trade in sorted(trades, key=lambda trade: trade.trade_id):
        buckets.setdefault(frame.floor(trade.timestamp), []).append(trade)
    candles = []
    for start, held in sorted(buckets.items()):
        volume = Decimal(0)
        for trade in held:
            volume = EXACT.add(volume, trade.size)
        prices = [trade.price for trade in held]
        ohlc = (prices[0], max(prices), min(prices), prices[-1])
        count = sum(trade.count for trade in held)
        place = Series(held[0].exchange, held[0].symbol, frame)
        candles.append(Candle(*place, *ohlc, volume, count, start, frame.end(start), Origin.TRADES, is_final))
    return candles
