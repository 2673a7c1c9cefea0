"""Whose time it is: the wall's, or a test's."""

import asyncio
import time
from typing import Protocol

TICK = 0.02
"""Seconds between two looks at the market: how late a push can be."""


class Clock(Protocol):
    def __call__(self) -> int:
        """Milliseconds since 1970, never going back."""

    async def tick(self) -> None:
        """Return when time has passed: soon on the wall's clock, after the next `advance` of a test's."""


class WallClock:
    """The machine's time. A step back of the system's clock stands still here until it is made up for."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(self._last, time.time_ns() // 1_000_000)
        return self._last

    async def tick(self) -> None:
        await asyncio.sleep(TICK)


class ManualClock:
    """Time that passes only when `advance` is called."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._moved = asyncio.Event()

    def __call__(self) -> int:
        return self._now

    def advance(self, milliseconds: int) -> None:
        """Let time pass and wake all who wait for it."""
        if milliseconds < 0:
            raise ValueError(f"milliseconds: {milliseconds} would turn the clock back")
        self._now += milliseconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def tick(self) -> None:
        await self._moved.wait()
