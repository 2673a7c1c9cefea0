"""The domain's enums, as GraphQL shows them: the same members, with a line of meaning each."""

from enum import Enum
from typing import Any

import strawberry

from repos.domain import BotStatus, DataType, Origin, Side
from repos.events import BotEventKind, CandleEventKind


def _shown(domain: type[Enum], name: str, description: str, **meaning: str) -> type[Enum]:
    """`domain`, made known to Strawberry. Descriptions are set here: the domain knows nothing of GraphQL."""
    shown: Any = strawberry.enum(domain, name=name, description=description)
    for value in shown.__strawberry_definition__.values:
        value.description = meaning[value.name]
    return domain


ENUMS = [
    _shown(
        Origin,
        "CandleOrigin",
        "Where a candle comes from.",
        TRADES="Folded from trades by the collector.",
        EXCHANGE="The exchange's own candle, which carries no trade count.",
        CLIENT="Written by a client through a mutation.",
    ),
    _shown(
        CandleEventKind,
        "CandleEventKind",
        "What a candle event tells.",
        SNAPSHOT="A stored candle, sent to begin with.",
        FORMING="The candle that is still forming, as it is now; the next event may change it.",
        CLOSED="A stored candle, newer than any before.",
        CORRECTED="An older stored candle, new or changed.",
        DELETED="Stored candles of this range were deleted.",
        GAP="Trades of this range are missing, and so may be its candles; they could not be recovered yet.",
        NOT_COLLECTED=(
            "Nobody collects this series, in any process, and nothing is stored of it: no candle will come until a "
            "collector follows it, or a client writes one. Told to begin with; health shows the collectors."
        ),
    ),
    _shown(
        Side,
        "Side",
        "The taker's side of a trade.",
        BUY="The taker bought.",
        SELL="The taker sold.",
    ),
    _shown(
        DataType,
        "DataType",
        "What a piece of raw exchange data is about.",
        TICKER="Best prices and the last trade.",
        TRADE="A trade, as the exchange sent it.",
        ORDERBOOK="The order book, or a change of it.",
        CANDLE="The exchange's own candle.",
    ),
    _shown(
        BotStatus,
        "BotStatus",
        "What a bot is doing.",
        INACTIVE="Not started.",
        ACTIVE="Running, and expected to send heartbeats.",
        PAUSED="Halted for now.",
        ERROR="Stopped by a failure.",
    ),
    _shown(
        BotEventKind,
        "BotEventKind",
        "What happened to a bot.",
        CREATED="It was created.",
        UPDATED="It changed; a heartbeat counts too.",
        DELETED="It was deleted, and is shown as it was.",
        STALE="It is active and stopped sending heartbeats.",
    ),
]
