"""Behind a pooler, as Debian has it: its version knows no prepared statements in transaction mode."""

import asyncio
from datetime import timedelta

import pytest

from repos.domain import Series
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.builders import NOON, a_candle
from tests.conftest import a_database
from tests.pgbouncer import a_pgbouncer

pytestmark = pytest.mark.anyio

BTC = Series.of("okx", "BTC-USDT", "1m")
MANY = 24


async def bursts(db: DatabaseOperations) -> None:
    """More of everything at once than the pooler has connections, twice, so that statements meet other servers."""
    minute = timedelta(minutes=1)
    for burst in range(2):
        candles = [
            a_candle(start_time=NOON + i * minute, end_time=NOON + (i + 1) * minute, trade_count=burst + 1)
            for i in range(MANY)
        ]
        await asyncio.gather(*(db.market_data.upsert_candle(candle, force_update=True) for candle in candles))
        pages = await asyncio.gather(*(db.market_data.page(BTC, first=MANY) for _ in range(MANY)))
        latest = await asyncio.gather(*(db.market_data.get_latest_candle("BTC-USDT", "1m") for _ in range(MANY)))
        columns = await asyncio.gather(*(db.market_data.stored.columns(BTC) for _ in range(MANY)))
        counts = await asyncio.gather(*(db.bots.count() for _ in range(MANY)))

        assert [page.rows for page in pages] == [candles] * MANY
        assert latest == [candles[-1]] * MANY
        assert [each.trade_count for each in columns] == [[burst + 1] * MANY] * MANY
        assert counts == [0] * MANY


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("migrated", [False, True])
async def test_everything_works_behind_pgbouncer(server_url: str, mode: str, migrated: bool) -> None:
    async with a_database(server_url) as url:
        if migrated:
            async with DatabaseOperations(url):
                pass
        connections = 60 if mode == "session" else 3
        async with (
            a_pgbouncer(url, mode, connections) as pooled,
            DatabaseOperations(pooled, listen_url=url, read_timeout=10) as db,
            Feed(db),
        ):
            await bursts(db)
