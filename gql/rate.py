"""Accounts of points: what each client may still ask for in this minute."""

import math
import time
from dataclasses import dataclass

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

log = structlog.get_logger(__name__)

_BLOCKS = 100
"""What is taken from a storage at a time, as a part of the whole: to ask it takes longer than a small query."""
_MOST = 100_000
"""Clients that are remembered here, some 20 MB of them; a storage remembers all."""
_MINUTE = 60.0
MEMORY = "memory://"


class Exhausted(Exception):
    """There are not so many points left in this minute; `retry_after` seconds from now there are."""

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


@dataclass(slots=True)
class _Account:
    left: int
    """Points that were taken and not spent."""
    untaken: int
    ends: float
    """When the minute is over, by time.monotonic()."""


class Accounts:
    """So many points a minute for each client; the minute begins with the first that are spent.

    Counted in memory, minutes go by time.monotonic(): nobody waits longer, or less, because the clock was set. In a
    storage they go by its own clock, and points are taken from it by the block, a hundredth of the minute's: so many
    at most are lost to a client when its minute ends, with each process that it asks.
    """

    def __init__(self, points_a_minute: int, storage: str = MEMORY) -> None:
        """`storage` is where the points are counted: in memory, or by the library for many processes together, such as
        redis://host:6379.

        Raises:
            limits.errors.ConfigurationError: There is no such storage, or what it needs is not installed.
        """
        self._limiter: FixedWindowRateLimiter | None = None
        if storage != MEMORY:
            # Of the libraries for Redis the one that is kept best; the default one wants an old `packaging`.
            try:
                place = storage_from_string(f"async+{storage}", wrap_exceptions=True, implementation="redispy")
            except (ValueError, TypeError, IndexError) as error:  # as Redis's library and this one meet a wrong URL
                raise ConfigurationError("the storage's URL can't be taken apart") from error
            self._limiter = FixedWindowRateLimiter(place)
        self._points = points_a_minute
        self._minute = RateLimitItemPerMinute(points_a_minute)
        self._block = max(points_a_minute // _BLOCKS, 1)
        self._accounts: dict[str, _Account] = {}

    async def charge(self, client: str, points: int) -> int:
        """Take them from the client's account; what remains in this minute.

        Raises:
            Exhausted: There are not so many.
        """
        remaining = self.spent(client, points)
        if remaining is None:
            account = await self._filled(client, points)
            account.left -= points
            remaining = account.left + account.untaken
        return remaining

    def spent(self, client: str, points: int) -> int | None:
        """As `charge`, where the points were taken already; None where more have to be."""
        account = self._accounts.get(client)
        if account is None or account.left < points or account.ends <= time.monotonic():
            return None
        account.left -= points
        return account.left + account.untaken

    async def _filled(self, client: str, points: int) -> _Account:
        now = time.monotonic()
        account = self._accounts.get(client)
        goes_on = account is not None and account.ends > now
        left = account.left if account is not None and goes_on else 0
        if account is not None and goes_on and account.untaken + left < points and (left or self._limiter is None):
            raise Exhausted(math.ceil(account.ends - now))
        if self._limiter is None:
            return self._kept(client, _Account(self._points, 0, now + _MINUTE))
        try:
            return await self._taken(self._limiter, client, points, left)
        except StorageError as error:
            log.error("The storage of the rate limit does not answer; nobody is held up", reason=str(error))
            return _Account(max(points, self._block), 0, now + 1)

    async def _taken(self, limiter: FixedWindowRateLimiter, client: str, points: int, left: int) -> _Account:
        now = time.monotonic()
        _, untaken = await limiter.get_window_stats(self._minute, client)
        taken = min(max(points - left, self._block), untaken)
        fits = left + taken >= points and await limiter.hit(self._minute, client, cost=taken)
        reset, untaken = await limiter.get_window_stats(self._minute, client)
        # The storage said how long, and the library added this machine's clock, which may be set in between.
        seconds = min(max(reset - time.time(), 0), _MINUTE)
        if not fits:
            raise Exhausted(max(math.ceil(seconds), 1))
        return self._kept(client, _Account(left + taken, untaken, now + seconds))

    def _kept(self, client: str, account: _Account) -> _Account:
        # The oldest first: an account that begins anew goes to the end.
        self._accounts.pop(client, None)
        if len(self._accounts) >= _MOST:
            del self._accounts[next(iter(self._accounts))]
        self._accounts[client] = account
        return account
