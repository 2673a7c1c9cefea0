"""What clients send. Each input reads itself into the domain's own value, which checks it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.scalars import JSON

from gql.arguments import given
from gql.types import EXCHANGE, SYMBOL, TIMEFRAME, shown
from repos.domain import BotStatus, Candle, DataType, InvalidValue, MarketDataPoint, Series, Timeframe, not_ahead


def optional(description: str) -> Any:
    return strawberry.field(default=UNSET, description=description)


def exchange_field() -> Any:
    return strawberry.field(default="okx", description=EXCHANGE)


@strawberry.input(description="One line of candles.")
class SeriesInput:
    exchange: str = exchange_field()
    symbol: str = shown(SYMBOL)
    timeframe: Timeframe = shown(TIMEFRAME)

    def series(self) -> Series:
        return Series.of(self.exchange, self.symbol, self.timeframe)


@strawberry.input(description="A candle to store.")
class CandleInput:
    exchange: str = exchange_field()
    symbol: str = shown(SYMBOL)
    timeframe: Timeframe = shown(TIMEFRAME)
    start_time: datetime = shown(
        "The start of a bucket of its timeframe, at most a minute ahead of the server's clock."
    )
    end_time: datetime | None = optional("Default, and only right value: startTime plus the timeframe.")
    open: Decimal = shown("Price of the first trade.")
    high: Decimal = shown("Highest price.")
    low: Decimal = shown("Lowest price.")
    close: Decimal = shown("Price of the last trade.")
    volume: Decimal = shown("Base currency for spot, contracts for derivatives; not negative.")
    trade_count: int | None = optional("How many trades it is made of; left out where that is not known.")

    def candle(self) -> Candle:
        end_time = given(self.end_time)
        return Candle(
            self.exchange,
            self.symbol,
            self.timeframe,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            given(self.trade_count),
            not_ahead("start_time", self.start_time),
            self.timeframe.end(self.start_time) if end_time is None else end_time,
        )


@strawberry.input(description="One object as an exchange sent it, of a known kind.")
class MarketDataPointInput:
    exchange: str = exchange_field()
    symbol: str = shown(SYMBOL)
    timestamp: datetime = shown("The exchange's time for it; of a trade, the trade's own.")
    data_type: DataType = shown("What it is about.")
    data: JSON = shown("The exchange's own object, whole.")

    def point(self) -> MarketDataPoint:
        if not isinstance(self.data, dict):
            raise InvalidValue("data", "is not a JSON object")
        return MarketDataPoint(self.exchange, self.symbol, self.timestamp, self.data_type, self.data)


@strawberry.input(description="Raw data of any kind.")
class RawWebsocketDataInput:
    exchange: str = exchange_field()
    symbol: str = shown(SYMBOL)
    data_type: str = shown('A name for what it is, such as "trade" or "raw_trade".')
    raw_data: JSON = shown("Any JSON, kept whole.")
    timestamp: datetime | None = optional("Default: now.")


@strawberry.input(description="A bot to create.")
class CreateBotInput:
    name: str = shown("Unique among bots: 1 to 128 printable characters.")
    strategy_name: str = shown("The strategy that it runs: 1 to 128 printable characters.")
    exchange: str = exchange_field()
    symbol: str = shown(SYMBOL)
    timeframe: Timeframe = shown(TIMEFRAME)
    status: BotStatus = strawberry.field(default=BotStatus.INACTIVE, description="What it is doing.")
    virtual_balance: Decimal = shown("In quote currency.")
    config: JSON | None = optional("Settings of its strategy: an object; {} when null or left out.")


@strawberry.input(description="Changes of a bot: only what is given changes.")
class UpdateBotInput:
    name: str | None = optional("Unique among bots: 1 to 128 printable characters.")
    strategy_name: str | None = optional("The strategy that it runs: 1 to 128 printable characters.")
    symbol: str | None = optional(SYMBOL)
    timeframe: Timeframe | None = optional(TIMEFRAME)
    status: BotStatus | None = optional("What it is doing.")
    virtual_balance: Decimal | None = optional("In quote currency.")
    config: JSON | None = optional("Settings of its strategy: an object, replaced whole; null means {}.")
    last_heartbeat: datetime | None = optional(
        "When it last gave a sign of life, at most a minute ahead of the server's clock; null forgets it."
    )


def bot_fields(sent: CreateBotInput | UpdateBotInput) -> dict[str, Any]:
    """What was given, by field name; the repository checks the values. A null counts only where it is a value."""
    return {
        name: value
        for name, value in vars(sent).items()
        if value is not UNSET and (value is not None or name in ("config", "last_heartbeat"))
    }
