"""Numbers about the whole database, cheap to ask for at any size."""

import time
from dataclasses import replace
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from repos.base import BaseRepository
from repos.domain import Stats

COUNTED = 1_000_000
"""Up to here rows are counted, in some 50 ms; beyond, the planner's estimate stands."""
_WINDOW = 1.0
"""Seconds that a rate is measured over at least: asked sooner, the last one stands."""

_NUMBERS = sa.text("""
    WITH parts AS (
        SELECT reltuples, relpages, pg_relation_size(oid) / current_setting('block_size')::int AS pages
        FROM pg_class
        WHERE relkind = 'r' AND oid IN (
            SELECT 'raw_trades'::regclass UNION SELECT relid FROM pg_partition_tree('raw_trades')
        )
    ), fresh AS (
        SELECT 1 FROM raw_trades WHERE id > :last_id AND trade_id IS NOT NULL LIMIT :most
    )
    SELECT (SELECT count(*) FROM bots) AS bots,
           (SELECT coalesce(sum(candle_count), 0)::bigint FROM series) AS candles,
           (SELECT coalesce(max(id), 0) FROM raw_trades) AS last_id,
           (SELECT count(*) FROM fresh) AS new_trades,
           pg_database_size(current_database()) AS bytes,
           -- As the planner reckons: rows a page when last analysed, times the pages now. Null: never analysed.
           (SELECT sum(reltuples / nullif(relpages, 0) * pages)::bigint FROM parts
            HAVING bool_and(reltuples >= 0 AND relpages > 0)) AS estimate
""")
_COUNT = sa.text("SELECT count(*) FROM (SELECT 1 FROM raw_trades LIMIT :most) AS n")


class _Seen(NamedTuple):
    at: float
    candles: int
    last_id: int


class StatsReader(BaseRepository):
    """Reads the numbers, and remembers the last for the rates."""

    def __init__(self, engine: AsyncEngine, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__(engine, logger)
        self._begun = time.monotonic()
        self._seen: _Seen | None = None
        self._rates = (0.0, 0.0)
        self._last = Stats(False, 0, 0, 0, True, 0, 0.0, 0.0, 0.0)

    async def read(self) -> Stats:
        """The numbers now. Rates are rows a second since they were last measured, in this process; zero at first.

        Raises:
            DatabaseOperationError: The database failed.
        """
        seen = self._seen
        # Before the first call nothing is new: no id is above the largest.
        since = {"last_id": 2**63 - 1 if seen is None else seen.last_id, "most": COUNTED + 1}
        async with self._transaction("reading statistics") as connection:
            row = (await connection.execute(_NUMBERS, since)).one()
            now = time.monotonic()
            raw_trades = row.estimate
            if raw_trades is None or raw_trades <= COUNTED:
                counted = (await connection.execute(_COUNT, {"most": COUNTED + 1})).scalar_one()
                raw_trades = max(counted, raw_trades or 0) if counted > COUNTED else counted
        if seen is not None and now - seen.at >= _WINDOW:
            elapsed = now - seen.at
            self._rates = (max(row.candles - seen.candles, 0) / elapsed, row.new_trades / elapsed)
        if seen is None or now - seen.at >= _WINDOW:
            self._seen = _Seen(now, row.candles, row.last_id)
        self._last = Stats(
            healthy=True,
            bot_count=row.bots,
            candle_count=row.candles,
            raw_trade_count=raw_trades,
            exact=raw_trades <= COUNTED,
            database_bytes=row.bytes,
            candles_per_second=self._rates[0],
            trades_per_second=self._rates[1],
            uptime_seconds=now - self._begun,
        )
        return self._last

    def last(self) -> Stats:
        """The numbers as they were read last, zero before the first, of a database that is away."""
        return replace(self._last, healthy=False, uptime_seconds=time.monotonic() - self._begun)
