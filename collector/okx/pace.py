"""OKX's rate limits, kept by waiting."""

import asyncio
from types import TracebackType
from typing import NamedTuple, Self

MARGIN = 0.1
"""Seconds that a place stays taken beyond its time: the exchange need not measure seconds as we do."""


class Limit(NamedTuple):
    """At most `amount` in any stretch of `seconds`."""

    amount: int
    seconds: float


class Turns:
    """What falls under one limit, `async with` it, each in its turn.

    When the exchange counts a request is not known here, only that it does so between the beginning and the end. So a
    place is taken from the beginning until the time of the limit after the end: however long requests are under way,
    no more than the limit allows are ever counted in any stretch of that time.
    """

    def __init__(self, limit: Limit) -> None:
        self._seconds = limit.seconds
        self._places = asyncio.Semaphore(limit.amount)

    async def __aenter__(self) -> Self:
        await self._places.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # By the loop's clock, which is the monotonic one: the machine's may be set at any time.
        asyncio.get_running_loop().call_later(self._seconds + MARGIN, self._places.release)


_turns: dict[tuple[asyncio.AbstractEventLoop, str, Limit], Turns] = {}


def turns_of(name: str, limit: Limit) -> Turns:
    """The turns of all that falls under the limit of this name in this process: OKX counts by IP address."""
    loop = asyncio.get_running_loop()
    turns = _turns.get((loop, name, limit))
    if turns is None:
        for ended in [key for key in _turns if key[0].is_closed()]:
            del _turns[ended]
        turns = _turns[loop, name, limit] = Turns(limit)
    return turns
