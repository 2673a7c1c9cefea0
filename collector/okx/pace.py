"""OKX's rate limits, kept by waiting."""

import asyncio
import time

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter


class Pace:
    """The rate windows of this process. One for all connections and requests: OKX counts by IP address."""

    def __init__(self) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    async def wait(self, limit: RateLimitItem, *key: str) -> None:
        """Return as soon as one more of `key` fits into `limit`, and count it."""
        while not await self._windows.hit(limit, *key):
            window = await self._windows.get_window_stats(limit, *key)
            # The window ends at wall time, which may be set back: look again after a second at the latest.
            await asyncio.sleep(min(max(window.reset_time - time.time(), 0.001), 1))
