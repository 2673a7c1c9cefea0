"""What clients see of candles, trades, bots and markets. Fields are read by name from the domain's own values."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import strawberry
from strawberry.scalars import JSON

from gql.context import Info
from gql.cursors import encoded, live_cursor
from gql.scalars import BigInt
from repos import domain, events
from repos.candle_reader import CandleColumns
from repos.domain import BotStatus, Origin, Side, Timeframe
from repos.events import BotEventKind, CandleEventKind
from repos.stored import StoredCandle

EXCHANGE = "The exchange's name, such as okx."
SYMBOL = "The exchange's own name of the instrument, such as BTC-USDT or BTC-USDT-SWAP."
TIMEFRAME = "The length of a candle."


def shown(description: str) -> Any:
    """A field that is read from the value's attribute of that name."""
    return strawberry.field(description=description)


@strawberry.type(description="Open, high, low, close and volume of one stretch of time.")
class Candle:
    exchange: str = shown(EXCHANGE)
    symbol: str = shown(SYMBOL)
    timeframe: Timeframe = shown(TIMEFRAME)
    timestamp: datetime = shown("The chart's time: the same as startTime.")
    start_time: datetime = shown("Where the candle begins, inclusive.")
    end_time: datetime = shown("Where the candle ends, exclusive: startTime plus the timeframe.")
    open: Decimal = shown("Price of the first trade.")
    high: Decimal = shown("Highest price.")
    low: Decimal = shown("Lowest price.")
    close: Decimal = shown("Price of the last trade.")
    volume: Decimal = shown("Base currency for spot, contracts for derivatives.")
    trade_count: int | None = shown("null where the source does not say: OKX's own candles carry no count.")
    origin: Origin = shown("Folded from trades, taken from the exchange's own candles, or written by a client.")
    is_final: bool = shown("false while the candle is still forming; only a live event can carry such a one.")


@strawberry.type(description="A stretch of time, half-open: [start, end).")
class TimeRange:
    start: datetime = shown("Inclusive.")
    end: datetime = shown("Exclusive.")


def _candle_event_cursor(root: strawberry.Parent[events.CandleEvent]) -> str:
    return live_cursor(root.position)


def _candle_event_series(root: strawberry.Parent[events.CandleEvent]) -> domain.Series:
    return root.position.series


@strawberry.type(description="What names a series.")
class SeriesKey:
    exchange: str = shown(EXCHANGE)
    symbol: str = shown(SYMBOL)
    timeframe: Timeframe = shown(TIMEFRAME)


@strawberry.type(description="What happened to a series.")
class CandleEvent:
    kind: CandleEventKind = shown("What is told.")
    cursor: str = strawberry.field(
        resolver=_candle_event_cursor,
        description=(
            "Opaque. Hand it back as `after` to go on from here. "
            "SNAPSHOT and FORMING carry that of the last write sent."
        ),
    )
    series = strawberry.field(
        graphql_type=SeriesKey, resolver=_candle_event_series, description="The series that it tells of."
    )
    candle: Candle | None = shown("null for GAP, DELETED and NOT_COLLECTED.")
    gap: TimeRange | None = shown(
        "Set for GAP: candles in this range are missing and could not be recovered yet. "
        "It is told in whole candles. A candle in it that is stored all the same is the exchange's own. "
        "Set for DELETED: candles that started in this range were deleted."
    )


def _series_exchange(root: strawberry.Parent[CandleColumns | domain.Market]) -> str:
    return root.series.exchange


def _series_symbol(root: strawberry.Parent[CandleColumns | domain.Market]) -> str:
    return root.series.symbol


def _series_timeframe(root: strawberry.Parent[CandleColumns | domain.Market]) -> Timeframe:
    return root.series.timeframe


def _columns_live_cursor(root: strawberry.Parent[CandleColumns]) -> str:
    return live_cursor(root.position)


LIVE_CURSOR = "Pass it to the subscription candles(after:): everything written after this page was read."


@strawberry.type(description="Columns of equal length, oldest first. time is the start, in milliseconds since 1970.")
class CandleSeries:
    exchange: str = strawberry.field(resolver=_series_exchange, description=EXCHANGE)
    symbol: str = strawberry.field(resolver=_series_symbol, description=SYMBOL)
    timeframe: Timeframe = strawberry.field(resolver=_series_timeframe, description=TIMEFRAME)
    time: list[float] = shown("Starts of the candles, in milliseconds since 1970.")
    open: list[float] = shown("Prices of the first trades.")
    high: list[float] = shown("Highest prices.")
    low: list[float] = shown("Lowest prices.")
    close: list[float] = shown("Prices of the last trades.")
    volume: list[float] = shown("Base currency for spot, contracts for derivatives.")
    trade_count: list[int | None] = shown("null where the source does not say.")
    truncated: bool = shown("There were more rows in the range than `last`.")
    live_cursor: str = strawberry.field(resolver=_columns_live_cursor, description=LIVE_CURSOR)


@strawberry.type(description="A match, or several of one taker at one price.")
class Trade:
    exchange: str = shown(EXCHANGE)
    symbol: str = shown(SYMBOL)
    trade_id: str = shown("The exchange's own id; of several matches the last one's.")
    timestamp: datetime = shown("When the exchange matched it.")
    price: Decimal = shown("In quote currency.")
    size: Decimal = shown("Base currency for spot, contracts for derivatives.")
    side: Side = shown("The taker's.")
    count: int = shown("Matches folded into this row: 1, except in the exchange's aggregated channel.")


@strawberry.type(description="A piece of exchange data, stored as it came.")
class RawTrade:
    id: strawberry.ID = shown("Ours, ascending in the order of writing.")
    exchange: str = shown(EXCHANGE)
    symbol: str = shown(SYMBOL)
    timestamp: datetime = shown("The exchange's time for it, or the writer's.")
    data_type: str = shown(
        'Such as "trade", "orderbook", "ticker", "candle", or whatever the writer named it ("raw_trade").'
    )
    raw_data: JSON = shown("The exchange's own object, whole.")
    trade: Trade | None = shown('Decoded, where dataType is "trade" and it can be.')


def _trades_event_cursor(root: strawberry.Parent[events.TradesEvent]) -> str:
    return encoded(("t", root.exchange, root.symbol, *root.position))


@strawberry.type(description="Trades of one symbol, in the order of writing.")
class TradesEvent:
    cursor: str = strawberry.field(
        resolver=_trades_event_cursor, description="Opaque. Hand it back as `after` to go on from here."
    )
    trades: list[Trade] = shown("Oldest first.")
    gap: TimeRange | None = shown(
        "Trades in this range are missing and could not be recovered yet. Such an event has no trades."
    )
    is_collected: bool = shown(
        "false in the first event of a symbol whose trades nobody collects, in any process, and of which none is "
        "stored: none will come until a collector follows it. Such an event has no trades; health shows the "
        "collectors. true in any other."
    )


def _bot_latest_candle(
    root: strawberry.Parent[domain.Bot], info: Info
) -> StoredCandle | Awaitable[StoredCandle | None]:
    return info.context.newest_of(root.series)


def _market_latest_candle(
    root: strawberry.Parent[domain.Market], info: Info
) -> StoredCandle | Awaitable[StoredCandle | None]:
    return info.context.newest_of(root.series, root.revision)


def _is_stale(root: strawberry.Parent[domain.Bot], info: Info) -> bool:
    return root.is_stale(datetime.now(UTC), info.context.resources.bot_heartbeat_timeout)


@strawberry.type(description="A trading bot's record.")
class Bot:
    id: strawberry.ID = shown("Given by the server, never used again.")
    name: str = shown("Unique among bots.")
    strategy_name: str = shown("The strategy that it runs.")
    exchange: str = shown(EXCHANGE)
    symbol: str = shown(SYMBOL)
    timeframe: Timeframe = shown("The length of the candles that it works on.")
    status: BotStatus = shown("What it is doing.")
    virtual_balance: Decimal = shown("In quote currency.")
    config: JSON = shown("Settings of its strategy: an object.")
    last_heartbeat: datetime | None = shown("When it last gave a sign of life; null before the first.")
    is_stale: bool = strawberry.field(
        resolver=_is_stale, description="ACTIVE, and no heartbeat within BOT_HEARTBEAT_TIMEOUT."
    )
    created_at: datetime = shown("When it was created.")
    updated_at: datetime = shown("When it last changed.")
    version: int = shown("Grows by one with every change; hand it to updateBot as expectedVersion.")
    latest_candle = strawberry.field(
        graphql_type=Candle | None,
        resolver=_bot_latest_candle,
        description="The newest candle of the bot's own series, batched over a list of bots.",
    )


@strawberry.type(description="What happened to a bot.")
class BotEvent:
    kind: BotEventKind = shown("What happened.")
    bot: Bot = shown("The bot after that; before it, when DELETED.")


def _is_collected(root: strawberry.Parent[domain.Market], info: Info) -> bool:
    return info.context.feed.collectors.follow(root.series)


async def _tick_size(root: strawberry.Parent[domain.Market], info: Info) -> Decimal | None:
    instrument = await info.context.instrument.load((root.series.exchange, root.series.symbol))
    return None if instrument is None else instrument.tick_size


@strawberry.type(description="A series that can be drawn.")
class Market:
    exchange: str = strawberry.field(resolver=_series_exchange, description=EXCHANGE)
    symbol: str = strawberry.field(resolver=_series_symbol, description=SYMBOL)
    timeframe: Timeframe = strawberry.field(resolver=_series_timeframe, description=TIMEFRAME)
    first_time: datetime | None = shown("Start of the oldest stored candle.")
    last_time: datetime | None = shown("Start of the newest stored candle.")
    candle_count: BigInt = shown("How many candles are stored.")
    is_collected: bool = strawberry.field(
        resolver=_is_collected, description="Whether a collector that runs, in any process, is configured to follow it."
    )
    tick_size: Decimal | None = strawberry.field(
        resolver=_tick_size, description="Smallest price step; null until the exchange was asked."
    )
    latest_candle = strawberry.field(
        graphql_type=Candle | None,
        resolver=_market_latest_candle,
        description="The newest stored candle, batched over a list of markets.",
    )


@strawberry.type(description="What an exchange trades.")
class Instrument:
    exchange: str = shown(EXCHANGE)
    symbol: str = shown(SYMBOL)
    tick_size: Decimal = shown("Smallest price step.")
    lot_size: Decimal = shown("Smallest step of an order's size.")
    contract_value: Decimal | None = shown("Coins a contract; null for spot.")
    state: str = shown("The exchange's own word for it, such as live or suspend.")
