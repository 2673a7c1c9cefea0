"""The subscriptions. Arguments are checked before the first event, so a mistake is an error instead of a stream."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry import UNSET

from gql import types
from gql.arguments import Exchange, Symbol, TimeframeOf, bounded, given_as
from gql.context import Info
from gql.cursors import live_position, tape_position
from gql.errors import inside
from gql.inputs import SeriesInput
from gql.limits import MOST_SERIES, MOST_SNAPSHOT
from gql.status import Health
from repos import events
from repos.domain import Series, label
from repos.feed.reading import Reading

SILENCE = (
    "A symbol that is no known instrument, that nobody collects and of which nothing is stored is BAD_USER_INPUT; "
    "otherwise, to begin with, an empty"
)
Resume = Annotated[
    str | None,
    strawberry.argument(
        description=(
            "A live cursor: go on from there, instead of a snapshot. One that the database no longer stands behind is "
            "CURSOR_EXPIRED: begin anew, without it."
        )
    ),
]
Snapshot = Annotated[int, strawberry.argument(description="So many of the newest stored to begin with; 0 to 1,000.")]


@strawberry.type(description="What can be followed. Over a websocket (graphql-transport-ws) or as server-sent events.")
class Subscription:
    @strawberry.subscription(
        graphql_type=AsyncGenerator[types.CandleEvent, None],
        description=(
            "One series, live. With `snapshot` (0 to 1,000): stored candles oldest first, then the forming one. "
            "With `after`: every candle written since that cursor, once, in its latest state, in order of writing: "
            "CLOSED if newer than any the cursor knew, else CORRECTED. Then every change, nothing lost between. "
            "Candles that were deleted are told as DELETED with their range, in the same order, and those in it that "
            "are newer than what is left come as FORMING and CLOSED again. "
            "A FORMING never follows its own CLOSED. A cursor of another series is BAD_USER_INPUT. A cursor of another "
            "database, or from beyond what is stored, is CURSOR_EXPIRED, and so ends a subscription whose database is "
            "replaced by another one or by an older copy of itself: begin anew, with a snapshot. "
            "Every gap in the symbol's trades that could not be recovered is told once as GAP: those that are open "
            "after the snapshot, or after what was written since `after`, whatever their age, and a new one when it "
            "is found. So a client that comes back forgets the gaps it knew: those still open are told again. Candles "
            "of a gap that is recovered come as CLOSED or CORRECTED. "
            f"{SILENCE} series that nobody collects is told as NOT_COLLECTED."
        ),
    )
    def candles(
        self,
        info: Info,
        *,
        exchange: Exchange = "okx",
        symbol: Symbol,
        timeframe: TimeframeOf,
        after: Resume = UNSET,
        snapshot: Snapshot = 1,
    ) -> Reading[events.CandleEvent]:
        series = Series.of(exchange, symbol, timeframe)
        position = given_as("after", after, lambda name, text: live_position(name, text, series))
        newest = bounded("snapshot", snapshot, MOST_SNAPSHOT)
        return info.context.feed.candles(series, position, newest)

    @strawberry.subscription(
        graphql_type=AsyncGenerator[types.CandleEvent, None],
        description=(
            "A watch list: up to 200 series on one subscription, the newest state of each. No GAP is told; DELETED is, "
            "and then the newest candle that is left as SNAPSHOT. It ends with CURSOR_EXPIRED as `candles` does. "
            f"{SILENCE} series that nobody collects is told as NOT_COLLECTED."
        ),
    )
    def watch_candles(
        self,
        info: Info,
        series: Annotated[list[SeriesInput], strawberry.argument(description="1 to 200 series.")],
    ) -> AsyncGenerator[events.CandleEvent, None]:
        bounded("series", len(series), MOST_SERIES, least=1)
        watched = []
        for index, item in enumerate(series):
            with inside(f"series[{index}]"):
                watched.append(item.series())
        return info.context.feed.watch(watched)

    @strawberry.subscription(
        graphql_type=AsyncGenerator[types.TradesEvent, None],
        description=(
            "The tape, in batches, oldest first; with `after`, every trade since. Gaps are told as by `candles`: each "
            "that is open once, then new ones. Trades of a gap that is recovered come like any others. A cursor "
            "expires as one of `candles`, and a subscription ends as such a one does. "
            f"{SILENCE} tape that nobody collects is told with isCollected: false."
        ),
    )
    def trades(
        self,
        info: Info,
        *,
        exchange: Exchange = "okx",
        symbol: Symbol,
        after: Resume = UNSET,
        snapshot: Snapshot = 0,
    ) -> Reading[events.TradesEvent]:
        tape = {"exchange": label("exchange", exchange), "symbol": label("symbol", symbol)}
        position = given_as("after", after, lambda name, text: tape_position(name, text, **tape))
        newest = bounded("snapshot", snapshot, MOST_SNAPSHOT)
        return info.context.feed.trades(exchange, symbol, position, newest)

    @strawberry.subscription(
        graphql_type=AsyncGenerator[types.BotEvent, None],
        description=(
            "Every change of a bot, and every bot that falls silent. It ends with CURSOR_EXPIRED as `candles` does: "
            "list the bots anew."
        ),
    )
    def bots(self, info: Info) -> AsyncGenerator[events.BotEvent, None]:
        return info.context.feed.bots()

    @strawberry.subscription(
        graphql_type=AsyncGenerator[Health, None],
        description="The health now, and again every few seconds.",
    )
    def health(self, info: Info) -> AsyncGenerator[events.Health, None]:
        return info.context.feed.health()
