"""Whose time it is: the wall's, or a test's."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def __call__(self) -> int:
        """Milliseconds since 1970, never going back."""

    async def until(self, moment: int) -> None:
        """Return once the clock has reached `moment`."""


class WallClock:
    """The machine's time. A step back of the system's clock stands still here until it is made up for."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(self._last, time.time_ns() // 1_000_000)
        return self._last

    async def until(self, moment: int) -> None:
        await asyncio.sleep(max(0, moment - self()) / 1000)


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

    async def until(self, moment: int) -> None:
        while self._now < moment:
            await self._moved.wait()
