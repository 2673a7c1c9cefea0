"""Trades for tests, and the plain recomputation that everything folded is compared with."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from collector.okx.protocol import EXCHANGE
from repos.domain import EPOCH, EXACT, Candle, Origin, Series, Side, Timeframe, Trade, TradeRecord

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def a_trade(
    trade_id: int,
    second: float = 0.0,
    price: str = "100",
    size: str = "1",
    count: int = 1,
    symbol: str = "BTC-USDT",
    side: Side = Side.BUY,
) -> Trade:
    """A trade so many seconds after NOON, or before."""
    at = NOON + timedelta(milliseconds=round(second * 1000))
    return Trade(EXCHANGE, symbol, trade_id, at, Decimal(price), Decimal(size), side, count)


def raw(trade: Trade) -> dict[str, str]:
    """The exchange's object of a trade; only an aggregate says how many matches it holds."""
    made = {
        "instId": trade.symbol,
        "tradeId": str(trade.trade_id),
        "px": format(trade.price, "f"),
        "sz": format(trade.size, "f"),
        "side": trade.side.value,
        "ts": str((trade.timestamp - EPOCH) // timedelta(milliseconds=1)),
    }
    return made if trade.count == 1 else made | {"count": str(trade.count)}


def records(*trades: Trade) -> list[TradeRecord]:
    return [TradeRecord(trade, json.dumps(raw(trade))) for trade in trades]


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
