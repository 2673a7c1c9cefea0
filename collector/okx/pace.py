"""OKX's rate limits, kept by waiting."""

import asyncio
import time
from collections import deque

from limits import RateLimitItem


class Pace:
    """The rate windows of this process, by its monotonic clock: the machine's may be set at any time.

    One for all connections and requests: OKX counts by IP address.
    """

    def __init__(self) -> None:
        self._windows: dict[tuple[RateLimitItem, tuple[str, ...]], deque[float]] = {}
        """When what is counted happened, the newest last, at most as often as the limit allows."""

    async def wait(self, limit: RateLimitItem, *key: str) -> None:
        """Return as soon as one more of `key` fits into `limit`, and count it."""
        place = limit, key
        if place not in self._windows:
            self._forget_old()
        window = self._windows.setdefault(place, deque(maxlen=limit.amount))
        while (left := _left(window, limit)) > 0:  # noqa: ASYNC110 -- who waits as long may come first
            await asyncio.sleep(left)
        window.append(time.monotonic())

    def _forget_old(self) -> None:
        """Forget windows that hold nothing any more, as of a connection that is long gone."""
        now = time.monotonic()
        self._windows = {
            place: window
            for place, window in self._windows.items()
            if window and now - window[-1] < place[0].get_expiry()
        }


def _left(window: deque[float], limit: RateLimitItem) -> float:
    """Seconds until one more fits."""
    return window[0] + limit.get_expiry() - time.monotonic() if len(window) == limit.amount else 0.0
