"""The mutations: each reads its input, writes through a repository and tells what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from gql import types
from gql.arguments import BotId, Exchange, Symbol, TimeframeOf, given, row_id
from gql.context import Info
from gql.errors import inside
from gql.inputs import (
    CandleInput,
    CreateBotInput,
    MarketDataPointInput,
    RawWebsocketDataInput,
    UpdateBotInput,
    bot_fields,
)
from gql.limits import MOST_CANDLES
from gql.types import shown
from repos.domain import Bot, Candle, InvalidValue
from repos.errors import NotFound

ForceUpdate = Annotated[
    bool,
    strawberry.argument(description="false: an existing candle stays; true: it is overwritten."),
]


@dataclass(frozen=True, slots=True)
class Written:
    stored: bool
    candle: Candle


@dataclass(frozen=True, slots=True)
class Changed:
    bot: Bot


@strawberry.type(description="What became of a candle.")
class UpsertCandlePayload:
    stored: bool = shown("false: an existing candle stayed as it was.")
    candle: types.Candle = shown("The candle as it is stored now.")


@strawberry.type(description="What became of many candles.")
class UpsertCandlesPayload:
    stored_count: int = shown("Candles written.")
    kept_count: int = shown("Existing candles that stayed as they were.")


@strawberry.type(description="What became of a range of candles.")
class DeleteCandlesPayload:
    deleted_count: int = shown("Candles deleted.")


@strawberry.type(description="What became of a piece of raw data.")
class InsertRawTradePayload:
    stored: bool = shown("false: this trade id was stored before.")


@strawberry.type(description="A bot after a change.")
class BotPayload:
    bot: types.Bot = shown("The bot as it is now.")


@strawberry.type(description="What became of a bot.")
class DeleteBotPayload:
    deleted: bool = shown("false when there was no such bot.")


@strawberry.type(description="What can be changed.")
class Mutation:
    @strawberry.mutation(
        graphql_type=UpsertCandlePayload | None,
        description=(
            "Store a candle. forceUpdate false: an existing one stays (ON CONFLICT DO NOTHING); "
            "true: it is overwritten."
        ),
    )
    async def upsert_candle(
        self,
        info: Info,
        input: Annotated[CandleInput, strawberry.argument(description="The candle.")],  # noqa: A002
        force_update: ForceUpdate = False,
    ) -> Written:
        with inside("input"):
            candle = input.candle()
        db = info.context.db.market_data
        if await db.upsert_candle(candle, force_update):
            return Written(stored=True, candle=candle)
        return Written(stored=False, candle=await db.get_candle(candle.series, candle.start_time) or candle)

    @strawberry.mutation(
        graphql_type=UpsertCandlesPayload | None,
        description="At most 10,000 in one transaction: all or none. Of a candle given twice the last wins.",
    )
    async def upsert_candles(
        self,
        info: Info,
        input: Annotated[list[CandleInput], strawberry.argument(description="The candles.")],  # noqa: A002
        force_update: ForceUpdate = False,
    ) -> UpsertCandlesPayload:
        if len(input) > MOST_CANDLES:
            raise InvalidValue("input", f"{len(input)} candles are more than {MOST_CANDLES} in one transaction")
        candles = []
        for index, item in enumerate(input):
            with inside(f"input[{index}]"):
                candles.append(item.candle())
        written = await info.context.db.market_data.upsert_candles(candles, force_update)
        distinct = {(candle.series, candle.start_time) for candle in candles}
        return UpsertCandlesPayload(stored_count=len(written), kept_count=len(distinct) - len(written))

    @strawberry.mutation(
        graphql_type=DeleteCandlesPayload | None,
        description=(
            "Delete the stored candles of one series that start in [start, end). Subscribers hear DELETED with the "
            "range; where nothing was stored, nothing is told. Of more than 100,000 the oldest are deleted first, each "
            "100,000 by themselves: when time runs out, ask again for the rest."
        ),
    )
    async def delete_candles(
        self,
        info: Info,
        *,
        exchange: Exchange = "okx",
        symbol: Symbol,
        timeframe: TimeframeOf,
        start: Annotated[datetime, strawberry.argument(description="The first start, inclusive.")],
        end: Annotated[datetime, strawberry.argument(description="The end of starts, exclusive.")],
    ) -> DeleteCandlesPayload:
        deleted = await info.context.db.market_data.delete_candles(exchange, symbol, timeframe, start, end)
        return DeleteCandlesPayload(deleted_count=deleted)

    @strawberry.mutation(
        graphql_type=InsertRawTradePayload | None,
        description="Store an object as the exchange sent it. A trade is stored once.",
    )
    async def insert_market_data_point(
        self,
        info: Info,
        input: Annotated[MarketDataPointInput, strawberry.argument(description="The object.")],  # noqa: A002
    ) -> InsertRawTradePayload:
        with inside("input", raw="data"):
            stored = await info.context.db.raw_trades.insert_market_data_point(input.point())
        return InsertRawTradePayload(stored=stored)

    @strawberry.mutation(
        graphql_type=InsertRawTradePayload | None,
        description='Store any JSON under any dataType. Under "trade", what can be decoded as one is stored once.',
    )
    async def insert_raw_websocket_data(
        self,
        info: Info,
        input: Annotated[RawWebsocketDataInput, strawberry.argument(description="The data.")],  # noqa: A002
    ) -> InsertRawTradePayload:
        with inside("input", raw="rawData"):
            stored = await info.context.db.raw_trades.insert_raw_websocket_data(
                input.exchange,
                input.symbol,
                input.data_type,
                input.raw_data,
                given(input.timestamp),
            )
        return InsertRawTradePayload(stored=stored)

    @strawberry.mutation(graphql_type=BotPayload | None, description="Create a bot. A name that is taken is CONFLICT.")
    async def create_bot(
        self,
        info: Info,
        input: Annotated[CreateBotInput, strawberry.argument(description="The bot.")],  # noqa: A002
    ) -> Changed:
        with inside("input"):
            return Changed(await info.context.db.bots.add(bot_fields(input)))

    @strawberry.mutation(
        graphql_type=BotPayload | None,
        description=(
            "Changes the given fields only. expectedVersion: refuse (CONFLICT) when someone else changed the bot since."
        ),
    )
    async def update_bot(
        self,
        info: Info,
        id: BotId,  # noqa: A002
        input: Annotated[UpdateBotInput, strawberry.argument(description="The changes.")],  # noqa: A002
        expected_version: Annotated[
            int | None, strawberry.argument(description="The version that the changes were made from.")
        ] = UNSET,
    ) -> Changed:
        bot_id, version = row_id("id", id), given(expected_version)
        with inside("input"):
            return _changed(id, await info.context.db.bots.update(bot_id, bot_fields(input), version))

    @strawberry.mutation(
        graphql_type=BotPayload | None,
        description="A bot's sign of life, now. `id` is wanted, or `botId`, not both. No such bot is NOT_FOUND.",
    )
    async def record_heartbeat(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="The bot's id.")] = UNSET,  # noqa: A002
        bot_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="The bot's id.", deprecation_reason="Say `id`, as updateBot does."),
        ] = UNSET,
    ) -> Changed:
        named = [(name, value) for name, value in (("id", id), ("bot_id", bot_id)) if value not in (None, UNSET)]
        if len(named) != 1:
            raise InvalidValue("id", "give the bot's id once, here or as botId" if named else "it is missing")
        [(name, chosen)] = named
        return _changed(chosen, await info.context.db.bots.record_heartbeat(row_id(name, chosen)))

    @strawberry.mutation(
        graphql_type=DeleteBotPayload | None, description="deleted is false when there was no such bot."
    )
    async def delete_bot(self, info: Info, id: BotId) -> DeleteBotPayload:  # noqa: A002
        return DeleteBotPayload(deleted=await info.context.db.bots.delete(row_id("id", id)))


def _changed(bot_id: str, bot: Bot | None) -> Changed:
    if bot is None:
        raise NotFound(f"There is no bot with the id {bot_id}")
    return Changed(bot)
