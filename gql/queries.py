"""The queries: each reads its arguments and asks the repositories."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from gql import types
from gql.arguments import (
    After,
    Before,
    BotId,
    End,
    Exchange,
    First,
    Last,
    Start,
    Symbol,
    TimeframeOf,
    given,
    given_as,
    paging,
    row_id,
)
from gql.connections import (
    BotConnection,
    CandleConnection,
    CountedConnection,
    InstrumentConnection,
    RawTradeConnection,
)
from gql.context import Info
from gql.cursors import BotCursor, CandleCursor, InstrumentCursor, RawTradeCursor, counting, decoded, encoded
from gql.limits import SHORT_PAGE
from gql.status import Health, Stats
from repos import domain, events
from repos.bot_reader import StoredBot
from repos.bots import NAME_LIMIT
from repos.candle_reader import AskedPage, CandleColumns
from repos.domain import Bot, BotStatus, Candle, Instrument, Market, RawTrade, Series, data_type_named, label
from repos.keyset import DEFAULT
from repos.stored import StoredCandle


@strawberry.type(description="What can be asked. A root field that fails is null and leaves its siblings alone.")
class Query:
    @strawberry.field(
        graphql_type=CandleConnection | None,
        description=(
            "Candles of one series in the half-open range [start, end) of start times, oldest first, keyset cursors. "
            "Neither first nor last: the newest 500; after alone means first: 500, before alone last: 500; "
            "first with last is BAD_USER_INPUT; 0 is an empty page; at most 10,000 a page; "
            "both hasPage flags are exact."
        ),
    )
    async def candles(
        self,
        info: Info,
        *,
        exchange: Exchange = "okx",
        symbol: Symbol,
        timeframe: TimeframeOf,
        start: Start = UNSET,
        end: End = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> CountedConnection[Candle]:
        series = Series.of(exchange, symbol, timeframe)
        window: dict[str, Any] = {"start": given(start), "end": given(end)}

        def place(name: str, cursor: str) -> datetime:
            return decoded(name, cursor, CandleCursor, **series._asdict()).start

        asked = AskedPage.of(series, **window, **paging(first, after, last, before, place))
        return CountedConnection(
            await info.context.candle_page(asked),
            lambda candle: encoded(CandleCursor(*series, candle.start_time)),
            lambda: info.context.db.market_data.count(series, **window),
        )

    @strawberry.field(
        graphql_type=types.CandleSeries | None,
        description=(
            "The same rows as columns, for charts: a fraction of the cost. The newest `last` (default 500, at most "
            "10,000) of the range, oldest first. Prices here are floats, lossy on purpose."
        ),
    )
    async def candle_series(
        self,
        info: Info,
        *,
        exchange: Exchange = "okx",
        symbol: Symbol,
        timeframe: TimeframeOf,
        start: Start = UNSET,
        end: End = UNSET,
        last: Last = UNSET,
    ) -> CandleColumns:
        newest = given(last)
        return await info.context.db.market_data.stored.columns(
            Series.of(exchange, symbol, timeframe),
            start=given(start),
            end=given(end),
            last=DEFAULT if newest is None else newest,
        )

    @strawberry.field(
        graphql_type=types.Candle | None, description="The newest stored candle; null when there is none."
    )
    async def latest_candle(
        self, info: Info, *, exchange: Exchange = "okx", symbol: Symbol, timeframe: TimeframeOf
    ) -> StoredCandle | None:
        return await info.context.newest_candle(Series.of(exchange, symbol, timeframe))

    @strawberry.field(
        graphql_type=RawTradeConnection | None,
        description="Stored raw exchange data in [start, end) of its timestamp, oldest first. Pages as candles.",
    )
    async def raw_trades(
        self,
        info: Info,
        *,
        exchange: Exchange = "okx",
        symbol: Symbol,
        data_type: Annotated[
            str, strawberry.argument(description="Only rows that were stored under this name; DataType's in any case.")
        ] = "trade",
        start: Start = UNSET,
        end: End = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> CountedConnection[RawTrade]:
        list_ = label("exchange", exchange), label("symbol", symbol), data_type_named(data_type)
        since, until = given(start), given(end)
        db = info.context.db.raw_trades
        epoch = await info.context.db.epoch.known()

        def place(name: str, text: str) -> tuple[datetime, int]:
            scope = dict(zip(("exchange", "symbol", "data_type"), list_, strict=True))
            cursor = counting(name, decoded(name, text, RawTradeCursor, **scope), epoch)
            return cursor.timestamp, cursor.id

        page = await db.page(*list_, start=since, end=until, **paging(first, after, last, before, place))
        return CountedConnection(
            page,
            lambda row: encoded(RawTradeCursor(*list_, row.timestamp, row.id, epoch)),
            lambda: db.count(*list_, start=since, end=until),
        )

    @strawberry.field(graphql_type=types.Bot | None, description="The bot with this id; null when there is none.")
    async def bot(self, info: Info, id: BotId) -> Bot | None:  # noqa: A002
        return await info.context.db.bots.get_by_id(row_id("id", id))

    @strawberry.field(graphql_type=types.Bot | None, description="The bot of this name; null when there is none.")
    async def bot_by_name(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The bot's whole name.")]
    ) -> Bot | None:
        return await info.context.db.bots.get_by_name(label("name", name, limit=NAME_LIMIT, spaces=True))

    @strawberry.field(
        graphql_type=BotConnection | None,
        description=(
            "Bots by id, the oldest first. Pages as candles, but neither first nor last means first: 100, "
            "before alone last: 100."
        ),
    )
    async def bots(
        self,
        info: Info,
        *,
        status: Annotated[BotStatus | None, strawberry.argument(description="Only bots that do this.")] = UNSET,
        symbol: Annotated[str | None, strawberry.argument(description="Only bots that trade this instrument.")] = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> CountedConnection[StoredBot]:
        db = info.context.db.bots
        chosen: dict[str, Any] = {
            "status": given(status),
            "symbol": given_as("symbol", symbol, label),
        }
        epoch = await info.context.db.epoch.known()

        def place(name: str, text: str) -> int:
            return counting(name, decoded(name, text, BotCursor), epoch).id

        cut = paging(first, after, last, before, place)
        if cut["first"] is None and cut["last"] is None:
            backward = cut["before"] is not None and cut["after"] is None
            cut["last" if backward else "first"] = SHORT_PAGE
        page = await db.stored.page(**chosen, **cut)
        return CountedConnection(page, lambda bot: encoded(BotCursor(bot.id, epoch)), lambda: db.count(**chosen))

    @strawberry.field(
        graphql_type=list[types.Market] | None,
        description="What is there to draw: every series stored or collected by anybody, with its span.",
    )
    async def markets(
        self,
        info: Info,
        exchange: Annotated[str | None, strawberry.argument(description="Only this exchange's.")] = UNSET,
    ) -> list[Market]:
        only = given_as("exchange", exchange, label)
        stored = await info.context.db.market_data.markets(only)
        missing = await info.context.feed.collected() - {market.series for market in stored}
        empty = [Market(series, None, None, 0) for series in missing if only in (None, series.exchange)]
        return sorted(stored + empty, key=lambda market: market.series)

    @strawberry.field(
        graphql_type=InstrumentConnection | None,
        description=(
            "What the exchange trades, for pickers and price formats; search matches symbol parts. "
            "By symbol; without first 100 of them, at most 10,000."
        ),
    )
    async def instruments(
        self,
        info: Info,
        *,
        exchange: Exchange = "okx",
        search: Annotated[
            str | None,
            strawberry.argument(description="A part of the symbol, in any case; btcusdt and BTC/USDT find BTC-USDT."),
        ] = UNSET,
        first: First = UNSET,
        after: After = UNSET,
    ) -> CountedConnection[Instrument]:
        def place(name: str, text: str) -> str:
            return decoded(name, text, InstrumentCursor, exchange=exchange).symbol

        db, limit = info.context.db.instruments, given(first)
        chosen = label("exchange", exchange), given_as("search", search, partial(label, spaces=True))
        page = await db.page(
            *chosen,
            SHORT_PAGE if limit is None else limit,
            given_as("after", after, place),
        )
        return CountedConnection(
            page, lambda row: encoded(InstrumentCursor(row.exchange, row.symbol)), lambda: db.count(*chosen)
        )

    @strawberry.field(graphql_type=Health, description="How the server is doing, as this process sees it. Never fails.")
    async def health(self, info: Info) -> events.Health:
        return await info.context.feed.current_health()

    @strawberry.field(graphql_type=Stats | None, description="How much is stored, and how fast it grows.")
    async def stats(self, info: Info) -> domain.Stats:
        return await info.context.db.stats.read()
