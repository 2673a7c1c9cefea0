"""What was received, until it is stored: in batches, through whatever the database does meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from collector.okx.protocol import Points, Trades
from repos.domain import MarketDataPoint, TradeRecord
from repos.errors import DatabaseOperationError, DataRefused, cause_of
from repos.events import Waiting
from repos.operations import DatabaseOperations
from repos.refused import store_rest

TICK = 0.1
"""Seconds after which a quiet market is looked at."""
DATABASE_RETRY = 1.0
SLOW = timedelta(seconds=5)
"""A batch that is being stored for so long is said to wait, whether or not the database has failed yet."""
_BATCH = 2_000
_WAITING = 4_000
"""Frames kept for a slow database. Then nothing more is read, and what the exchange drops is recovered by id."""

log = structlog.get_logger(__name__)


class Writer:
    """Stores trades and points in the order in which they were put."""

    def __init__(
        self,
        db: DatabaseOperations,
        add: Callable[[Sequence[TradeRecord]], Awaitable[None]],
        tick: Callable[[], Awaitable[None]],
        changed: Callable[[], None],
        *,
        store_points: bool,
    ) -> None:
        """
        Args:
            db: Where points are stored.
            add: Stores trades. When it raises DatabaseOperationError, it is called with the same ones again.
            tick: Called a few times a second, whenever nothing is left to store. It may raise the same.
            changed: Hears when a batch begins to wait for the database, for another reason, or no longer.
            store_points: Whether points are stored; otherwise they are dropped.
        """
        self._db = db
        self._add = add
        self._tick = tick
        self._changed = changed
        self._stores_points = store_points
        self._inbox: asyncio.Queue[Trades | Points] = asyncio.Queue(_WAITING)
        self._batch: list[Trades | Points] = []
        self._storing_since: datetime | None = None
        self._failure = ""
        """Why what is stored since then is tried again; empty before that."""
        self.refused = 0
        """Points that the database refused."""

    async def put(self, received: Trades | Points) -> None:
        """Have it stored; waits while there is no room."""
        if isinstance(received, Trades) or self._stores_points:
            await self._inbox.put(received)

    def waiting(self) -> Waiting | None:
        """The batch that waits for the database, if one does."""
        since = self._storing_since
        if since is None or not (self._failure or datetime.now(UTC) - since >= SLOW):
            return None
        return Waiting(since, self._failure or "The database does not answer")

    async def run(self) -> None:
        """Store what arrives in batches, until cancelled: whatever came while the last one was written."""
        while True:
            if not self._batch:  # otherwise the last one is still to be stored
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        self._batch.append(await self._inbox.get())
            self._storing_since = self._storing_since or datetime.now(UTC)
            try:
                await self._store()
                if self._inbox.empty():
                    await self._tick()
                self._storing_since = None
                self._fails("")
            except DatabaseOperationError as error:
                self._fails(cause_of(error))
                log.warning("The database is waited for", reason=str(error), frames=self._inbox.qsize())
                await asyncio.sleep(DATABASE_RETRY)

    async def flush(self) -> None:
        """Store all that was put.

        Raises:
            DatabaseOperationError: The database failed. What is left is stored when it is tried again.
        """
        while self._batch or not self._inbox.empty():
            await self._store()

    async def _store(self) -> None:
        while not self._inbox.empty() and len(self._batch) < _BATCH:
            self._batch.append(self._inbox.get_nowait())
        records = [record for event in self._batch if isinstance(event, Trades) for record in event.records]
        points = [point for event in self._batch if isinstance(event, Points) for point in event.points]
        if records:
            await self._add(records)
        if points:
            await store_rest(points, self._store_points, self._refused)
        self._batch.clear()

    async def _store_points(self, points: Sequence[MarketDataPoint]) -> None:
        await self._db.raw_trades.insert_points(points)

    def _refused(self, point: MarketDataPoint, error: DataRefused) -> None:
        self.refused += 1
        log.warning("Malformed object, the database refuses it", reason=str(error), text=repr(point.data))

    def _fails(self, reason: str) -> None:
        if self._failure != reason:
            self._failure = reason
            self._changed()
