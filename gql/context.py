"""What a resolver can reach."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import strawberry
from starlette.status import WS_1013_TRY_AGAIN_LATER
from starlette.websockets import WebSocket, WebSocketState
from strawberry.dataloader import DataLoader

from gql.execution.paths import Paths
from repos.domain import Candle, Instrument, Series
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations

InstrumentKey = tuple[str, str]
"""Exchange and symbol."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What all requests share. `collected` are the series that collectors are configured to follow."""

    db: DatabaseOperations
    feed: Feed
    collected: Collection[Series]
    bot_heartbeat_timeout: timedelta


@dataclass(frozen=True, slots=True)
class Context:
    """One request's; a websocket has one for all its operations.

    Its loaders batch, but remember nothing: a subscription lives for days, and what it loaded would go stale.
    """

    resources: Resources
    websocket: WebSocket | None = None
    paths: Paths = field(default_factory=Paths)
    latest_candle: DataLoader[Series, Candle | None] = field(init=False)
    instrument: DataLoader[InstrumentKey, Instrument | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latest_candle", DataLoader(self._latest_candles, cache=False))
        object.__setattr__(self, "instrument", DataLoader(self._instruments, cache=False))

    @property
    def db(self) -> DatabaseOperations:
        return self.resources.db

    @property
    def feed(self) -> Feed:
        return self.resources.feed

    async def close_overloaded(self) -> None:
        """Close the websocket, if there is one, with a code after which clients come back and resume."""
        socket = self.websocket
        if socket and WebSocketState.DISCONNECTED not in (socket.client_state, socket.application_state):
            await socket.close(WS_1013_TRY_AGAIN_LATER, "Too slow; resume from the last cursor")

    async def _latest_candles(self, series: list[Series]) -> Sequence[Candle | None]:
        found = await self.db.market_data.latest(list(dict.fromkeys(series)))
        return [found.get(key) for key in series]

    async def _instruments(self, keys: list[InstrumentKey]) -> Sequence[Instrument | None]:
        found = await self.db.instruments.get_many(list(dict.fromkeys(keys)))
        return [found.get(key) for key in keys]


Info = strawberry.Info[Context, None]
