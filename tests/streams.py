"""A stream under test, and its events one by one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from itertools import repeat
from typing import TypeVar

from collector.okx.protocol import Arg
from collector.okx.simulator.server import Simulator
from collector.okx.simulator.sockets import Connection
from collector.okx.stream import OKXStream, StreamEvent
from tests.simulated import PATIENCE

ALL = Arg("trades-all", "BTC-USDT")
ETHER = Arg("trades-all", "ETH-USDT")
PUBLIC, BUSINESS = "/ws/v5/public", "/ws/v5/business"
Events = AsyncGenerator[StreamEvent, None]
_T = TypeVar("_T")


def at_once() -> Iterator[float]:
    return repeat(0.0)


@asynccontextmanager
async def following(url: str, *args: Arg) -> AsyncIterator[tuple[OKXStream, Events]]:
    stream = OKXStream(url, args, delays=at_once)
    async with asyncio.timeout(PATIENCE), aclosing(stream.events()) as events:
        yield stream, events


async def the_next(kind: type[_T], events: Events) -> _T:
    """The next event of this kind; those before it are passed over."""
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError("a stream has no end")


def connection_of(exchange: Simulator) -> Connection:
    (connection,) = exchange.connections.values()
    return connection
