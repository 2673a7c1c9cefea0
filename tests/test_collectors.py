"""What processes know of the collectors of others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from repos.domain import DataType, Series, Timeframe
from repos.events import CollectorReport, FeedHealth, Followed, Refusal, Waiting
from repos.feed.codec import PIECE_BYTES, Decoder, encode
from repos.feed.collectors import REPORTED, Collectors
from repos.feed.hub import Feed
from repos.feed.news import CollectorNews, Tape
from repos.operations import DatabaseOperations
from tests.builders import A_COLLECTOR, BTC_1M, NOON, a_report
from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio

ETH_5S = Series.of("okx", "ETH-USDT", "5s")
TIMEFRAMES = tuple(map(Timeframe, ("5s", "1m", "5m", "15m", "1h")))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def another_feed(database_url: str) -> AsyncIterator[Feed]:
    """That of another process, as far as this one can tell; it hears news."""
    async with DatabaseOperations(database_url) as db, Feed(db) as feed:
        await until(lambda: feed.connected)
        yield feed


def test_a_report_of_many_symbols_fits_into_payloads_and_back():
    refusal = Refusal("60018", "doesn't exist", NOON)
    report = CollectorReport(
        [
            FeedHealth("okx", "trades-all", f"幣{i}-USDT", False, NOON if i % 2 else None, i, 0, None, refusal)
            for i in range(400)
        ],
        [Followed("okx", f"幣{i}-USDT", TIMEFRAMES, (DataType.TRADE, DataType.TICKER)) for i in range(400)],
        Waiting(NOON, "the disk is full"),
    )
    news = CollectorNews("a", report)

    pieces = encode(news)
    decoder = Decoder(lambda _: False)
    decoded = [decoder.feed(piece) for piece in pieces]

    assert len(pieces) > 1
    assert max(len(piece.encode()) for piece in pieces) <= PIECE_BYTES
    assert decoded == [*[None] * (len(pieces) - 1), news]


@pytest.fixture
def feed(feed: Feed) -> Feed:
    """Without a collector beside it."""
    feed.collectors.keep(A_COLLECTOR, None)
    return feed


async def test_who_listens_hears_what_a_collector_of_another_process_follows(feed, database_url):
    many = [Series.of("okx", f"COIN{i}-USDT", timeframe) for i in range(500) for timeframe in TIMEFRAMES]

    async with another_feed(database_url) as other:
        await other.report("theirs", a_report(*many))
        await until(lambda: bool(feed.collectors.reports()))

    assert feed.collectors.series() == set(many)
    assert feed.collectors.follow(Tape("okx", "COIN0-USDT"))
    assert not feed.collectors.follow(BTC_1M)


async def test_who_begins_later_asks_and_has_an_answer(db, feed, database_url):
    await feed.report("ours", a_report(BTC_1M))
    async with another_feed(database_url) as later:
        found = await later.collected()

    assert found == {BTC_1M}


async def test_what_several_collectors_follow_counts_together_until_the_last_stops(feed, database_url):
    async with another_feed(database_url) as one, another_feed(database_url) as two:
        await one.report("one", a_report(BTC_1M))
        await two.report("two", a_report(BTC_1M, ETH_5S))
        await until(lambda: len(feed.collectors.reports()) == 2)
        both = feed.collectors.series()
        await two.report("two", None)
        await until(lambda: len(feed.collectors.reports()) == 1)
        left = feed.collectors.series()
        await one.report("one", None)
        await until(lambda: not feed.collectors.reports())

    assert (both, left) == ({BTC_1M, ETH_5S}, {BTC_1M})
    assert not feed.collectors.follow(BTC_1M)


def test_a_collector_that_falls_silent_is_forgotten_and_another_is_not():
    now = 100.0
    collectors = Collectors(lambda: now)
    collectors.hear(CollectorNews("silent", a_report(BTC_1M)))
    collectors.hear(CollectorNews("alive", a_report(ETH_5S)))

    now += REPORTED - 1
    collectors.hear(CollectorNews("alive", a_report(ETH_5S)))
    before = collectors.series()
    now += 2

    assert (before, collectors.series()) == ({BTC_1M, ETH_5S}, {ETH_5S})
    assert not collectors.follow(BTC_1M)
    assert list(collectors.reports()) == ["alive"]


def test_news_of_an_own_collector_that_was_on_its_way_changes_nothing():
    collectors = Collectors()
    collectors.keep("ours", a_report(BTC_1M))

    collectors.hear(CollectorNews("ours", a_report(ETH_5S)))

    assert collectors.series() == {BTC_1M}


async def test_markets_know_what_another_process_collects_and_has_not_stored(db, feed, database_url):
    async with Client(an_app(db, feed, collected=())) as client, another_feed(database_url) as other:
        await other.report("theirs", a_report(BTC_1M))
        await until(lambda: feed.collectors.follow(BTC_1M))
        markets = (await client.ask("{ markets { symbol timeframe isCollected candleCount } }"))["markets"]

    assert markets == [{"symbol": "BTC-USDT", "timeframe": "1m", "isCollected": True, "candleCount": "0"}]


async def test_a_report_is_known_here_though_the_database_is_away(database_url):
    async with DatabaseOperations(database_url) as db:
        feed = Feed(db)
        feed.collectors.keep("ours", a_report(BTC_1M))

        assert feed.collectors.follow(BTC_1M)
