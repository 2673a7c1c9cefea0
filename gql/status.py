"""How the server is doing: health and counts."""

from datetime import datetime

import strawberry

from gql.scalars import BigInt
from gql.types import EXCHANGE, SYMBOL, shown


@strawberry.type(description="The connection to the database.")
class DatabaseHealth:
    connected: bool = shown("Whether it answered.")
    latency_ms: float | None = shown("How long it took to answer, in milliseconds; null when it did not.")
    pool_size: int = shown("Connections that this process may hold.")
    pool_in_use: int = shown("Connections at work right now.")


@strawberry.type(description="What the exchange said no to.")
class Refusal:
    code: str = shown("The exchange's own, such as 60018: there is no such symbol or channel.")
    message: str = shown("The exchange's words.")
    since: datetime = shown("When it began to refuse; it is asked again every few minutes where that can help.")


@strawberry.type(description="A batch that a collector can't store yet.")
class WaitingBatch:
    since: datetime = shown("When it was to be stored.")
    reason: str = shown("Why it waits, such as: The database's disk is full (SQLSTATE 53100).")


@strawberry.type(description="One collected channel of one symbol.")
class FeedHealth:
    exchange: str = shown(EXCHANGE)
    channel: str = shown("The exchange's own name of the channel, such as trades.")
    symbol: str = shown(SYMBOL)
    connected: bool = shown("Whether its socket is open and the subscription confirmed.")
    last_message_at: datetime | None = shown("When the last message came; null before the first.")
    reconnects: int = shown("How often the connection was opened anew.")
    open_gaps: int = shown("Stretches of missing trades that are not recovered yet.")
    lag_ms: float | None = shown(
        "Milliseconds that the last live message was behind the exchange's clock; null before one."
    )
    refusal: Refusal | None = shown("Set while the exchange refuses the channel: nothing of it comes.")


@strawberry.type(description="How news of writes reaches this process.")
class BusHealth:
    connected: bool = shown("Whether news arrives.")
    subscribers: int = shown("Live subscriptions in this process.")


@strawberry.type(description="How the server is doing, as this process sees it.")
class Health:
    healthy: bool = shown("Whether the database answers, news arrives, and no collector waits to store a batch.")
    checked_at: datetime = shown("When this was found out.")
    database: DatabaseHealth = shown("The connection to the database.")
    feeds: list[FeedHealth] = shown(
        "One row for each collected channel and symbol; empty where this process sees no collector."
    )
    bus: BusHealth = shown("How news of writes reaches this process.")
    waiting: WaitingBatch | None = shown(
        "The batch of a collector, of any process, that has waited longest to be stored; null when none waits."
    )


@strawberry.type(
    description="Counts above a million are the planner's estimate (exact: false), so asking is always cheap."
)
class Stats:
    healthy: bool = shown("Whether the database answers.")
    bot_count: BigInt = shown("Bots.")
    candle_count: BigInt = shown("Stored candles.")
    raw_trade_count: BigInt = shown("Stored rows of raw exchange data.")
    exact: bool = shown("false when a count is an estimate.")
    database_bytes: BigInt = shown("Size of the database on disk.")
    candles_per_second: float = shown("Candles written a second, since this was last asked.")
    trades_per_second: float = shown("Raw rows written a second, since this was last asked.")
    uptime_seconds: float = shown("How long this process has been running.")
