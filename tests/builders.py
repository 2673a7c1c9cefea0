"""Facts of a market, told by what matters in a test."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from repos.domain import EPOCH, Candle, DataType, Series, Side, Timeframe, Trade, TradeRecord
from repos.events import CollectorReport, Followed

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
A_COLLECTOR = "a collector"
"""The name of the one beside the feed of a test."""
BTC_1M = Series("okx", "BTC-USDT", Timeframe("1m"))


def a_candle(**changes: Any) -> Candle:
    """A minute of BTC-USDT at noon, with these changes: numbers as Decimals, ints or strings.

    end_time follows start_time and timeframe, high and low follow open and close, unless they are given too.
    """
    fields: dict[str, Any] = {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "open": 100,
        "close": 101,
        "volume": "1.5",
        "trade_count": 3,
        "start_time": NOON,
    } | changes
    fields["timeframe"] = timeframe = Timeframe(fields["timeframe"])
    fields.setdefault("end_time", timeframe.end(fields["start_time"]))
    ends = [Decimal(fields["open"]), Decimal(fields["close"])]
    fields.setdefault("high", max(ends))
    fields.setdefault("low", min(ends))
    return Candle(**fields)


def a_trade(**changes: Any) -> Trade:
    """A match of BTC-USDT at noon, with these changes: price and size as Decimals, ints or strings."""
    fields: dict[str, Any] = {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "trade_id": 1,
        "timestamp": NOON,
        "price": 100,
        "size": "0.1",
        "side": Side.BUY,
        "count": 1,
    } | changes
    return Trade(**fields | {name: Decimal(fields[name]) for name in ("price", "size")})


def a_record(**changes: Any) -> TradeRecord:
    """`a_trade` with these changes, and its text as OKX's channel trades would send it."""
    trade = a_trade(**changes)
    raw = {
        "instId": trade.symbol,
        "tradeId": str(trade.trade_id),
        "px": format(trade.price, "f"),
        "sz": format(trade.size, "f"),
        "side": trade.side.value,
        "ts": str((trade.timestamp - EPOCH) // timedelta(milliseconds=1)),
        "count": str(trade.count),
    }
    return TradeRecord(trade, orjson.dumps(raw).decode())


def a_report(*series: Series, **changes: Any) -> CollectorReport:
    """Of a collector that folds trades into these candles, with these changes."""
    followed = [Followed(s.exchange, s.symbol, (s.timeframe,), (DataType.TRADE,)) for s in series]
    return CollectorReport(**{"feeds": [], "followed": followed} | changes)
