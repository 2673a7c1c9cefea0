"""Reading from a streaming standby, while news goes and comes over the primary."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from repos.domain import Series, Timeframe
from repos.embedded.server import EmbeddedPostgres
from repos.events import CandleEventKind
from repos.feed import receiver
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.builders import A_COLLECTOR, a_candle, a_report
from tests.conftest import FAST, a_folder

pytestmark = pytest.mark.anyio
SERIES = Series("okx", "BTC-USDT", Timeframe("1m"))


@asynccontextmanager
async def a_pair() -> AsyncIterator[tuple[str, str]]:
    """The URLs of a migrated primary and of a standby that follows it."""
    with a_folder() as folder, a_folder() as copy:
        primary = EmbeddedPostgres(folder, FAST)
        async with DatabaseOperations(await primary.start()):
            pass
        await primary.stop()
        # With its owners: under root the server has an account of its own.
        await (await asyncio.create_subprocess_exec("cp", "-a", folder, copy)).wait()
        url = await primary.start()
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        follows = f"host={query['host']} port={query['port']} user={urlsplit(url).username}"
        (copy / "postgresql-18" / "standby.signal").touch()
        standby = EmbeddedPostgres(copy, (*FAST, "-c", f"primary_conninfo={follows}"))
        try:
            yield url, await standby.start()
        finally:
            await standby.stop()
            await primary.stop()


async def connected(feed: Feed) -> None:
    async with asyncio.timeout(30):
        while not feed.connected:
            await asyncio.sleep(0.01)


async def test_who_reads_a_standby_hears_news_over_the_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "TICK", 0.2)
    async with (
        a_pair() as (primary, standby),
        DatabaseOperations(primary) as writer,
        DatabaseOperations(standby, listen_url=primary) as db,
        Feed(db) as feed,
    ):
        await connected(feed)
        feed._heard_at = None  # that it listens; what it sends itself must come back
        await connected(feed)
        feed.collectors.keep(A_COLLECTOR, a_report(SERIES))
        first = asyncio.create_task(anext(aiter(feed.candles(SERIES, None, 0))))
        for close in range(100, 100 + 600):
            await writer.market_data.upsert_candle(a_candle(high=1000, close=close), force_update=True)
            await asyncio.wait([first], timeout=0.05)
            if first.done():
                break
        health = await feed.current_health()

    heard = await first
    assert heard.kind in (CandleEventKind.CLOSED, CandleEventKind.CORRECTED)
    assert heard.candle is not None
    assert heard.candle.series == SERIES
    assert health.healthy


async def test_a_standby_alone_tells_what_its_feed_wants() -> None:
    async with a_pair() as (_, standby):
        with capture_logs() as lines:
            async with DatabaseOperations(standby) as db, Feed(db):
                async with asyncio.timeout(30):
                    while not lines:
                        await asyncio.sleep(0.01)

    assert "recovery" in lines[0]["reason"]
    assert "DATABASE_LISTEN_URL" in lines[0]["wanted"]
