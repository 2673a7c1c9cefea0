"""Positions count in one history alone: cursors of another one, and what is open when the database is another."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import asyncpg
import pytest

from repos.candle_reader import AskedPage
from repos.embedded.server import EmbeddedPostgres
from repos.errors import CursorExpired
from repos.events import Position, TapePosition
from repos.feed import receiver
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.builders import BTC_1M, MINUTE, NOON, a_record
from tests.conftest import FAST, a_database, a_folder
from tests.test_feed import following, has_read, minute, take, told

pytestmark = pytest.mark.anyio

BTC = ("okx", "BTC-USDT")
BEYOND = 1_000_000
# What an older copy of the data would hold: nothing of what was written after the first revision and row.
GO_BACK = """
DELETE FROM market_data WHERE revision > 1;
UPDATE series SET revision = 1, last_time = first_time, candle_count = 1;
DELETE FROM raw_trades WHERE id > 1;
UPDATE tapes SET last_id = 1;
"""


async def run(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def write(db: DatabaseOperations, numbers: range) -> None:
    """Candles and trades of these minutes, each of them a revision and a row."""
    for number in numbers:
        await db.market_data.upsert_candle(minute(number))
        await db.tape.insert([a_record(trade_id=number)])


async def position_of(db: DatabaseOperations) -> tuple[Position, TapePosition]:
    """Where readers stand who have read everything."""
    _, row = await db.tape.newest(*BTC, 1)
    return await db.market_data.position(BTC_1M), TapePosition(row, await db.epoch.known())


@pytest.fixture
async def other(server_url: str) -> AsyncIterator[DatabaseOperations]:
    """Operations on another database of the same server."""
    async with a_database(server_url) as url, DatabaseOperations(url) as operations:
        yield operations


@pytest.mark.parametrize("hot_candles", [0, 2_000])
async def test_a_follower_from_beyond_the_table_takes_nothing_from_the_others(db, hot_candles):
    async with Feed(db, hot_candles=hot_candles) as feed:
        await beyond_the_table(db, feed)


async def beyond_the_table(db: DatabaseOperations, feed: Feed) -> None:
    await write(db, range(2))
    stands, tape = await position_of(db)
    # It is the first to follow, so that its position would be the topic's.
    for ahead in (1, BEYOND):
        beyond = aclosing(feed.candles(BTC_1M, stands._replace(revision=stands.revision + ahead), 1))
        beyond_tape = aclosing(feed.trades(*BTC, tape._replace(row=tape.row + ahead), 1))
        async with beyond as forged, beyond_tape as forged_tape:
            for events in (forged, forged_tape):
                with pytest.raises(CursorExpired, match="beyond what is stored: begin anew, with a snapshot"):
                    await take(events, 1)

            async with (
                aclosing(feed.candles(BTC_1M, stands, 1)) as candles,
                aclosing(feed.trades(*BTC, tape, 1)) as trades,
            ):
                number = 1 + ahead % 7
                await db.market_data.upsert_candle(minute(number, close=ahead % 100 + 1, low=1), force_update=True)
                await db.tape.insert([a_record(trade_id=100 + number)])
                (candle,) = await take(candles, 1)
                (batch,) = await take(trades, 1)
        assert candle.candle.start_time == NOON + number * MINUTE
        assert [trade.trade_id for trade in batch.trades][-1] == 100 + number


async def test_no_number_of_a_client_is_where_a_topic_stands(db, feed):
    await write(db, range(3))
    stands, _ = await position_of(db)
    forged = stands._replace(start=NOON + 9 * MINUTE, newest=NOON.replace(year=2900))

    async with aclosing(feed.candles(BTC_1M, forged, 1)) as events:
        live = asyncio.ensure_future(take(events, 1))
        await has_read(feed)
        await db.market_data.upsert_candle(minute(3))
        (event,) = await live

    assert told(event) == ("CLOSED", 3)
    assert event.position.newest == NOON + 3 * MINUTE


async def test_positions_of_another_database_are_refused(db, feed, other):
    await write(db, range(3))
    await write(other, range(2))
    stands, tape = await position_of(other)

    for events in (feed.candles(BTC_1M, stands, 1), feed.trades(*BTC, tape, 1)):
        async with aclosing(events):
            with pytest.raises(CursorExpired, match="another database, or of a state that this one lost"):
                await take(events, 1)


async def test_the_epoch_outlives_restarts_of_programs(db, database_url):
    first = await db.epoch.known()
    await write(db, range(3))

    async with DatabaseOperations(database_url) as again, Feed(again) as feed:
        stands, _ = await position_of(again)
        async with following(feed) as events:
            await again.market_data.upsert_candle(minute(3))
            await take(events, 1)
        assert await again.epoch.check() is False

    assert stands.epoch == first


async def everything(stack: AsyncExitStack, feed: Feed) -> list:
    """A subscription of each kind that follows the tables, begun."""
    begun = [feed.candles(BTC_1M, None, 1), feed.trades(*BTC, None, 1), feed.watch([BTC_1M])]
    for events in begun:
        await stack.enter_async_context(aclosing(events))
        await take(events, 1)
    bots = await stack.enter_async_context(aclosing(feed.bots()))
    told = asyncio.ensure_future(anext(bots))
    while feed.topics.get(receiver.BOTS) is None:
        await asyncio.sleep(0)
    return [*[asyncio.ensure_future(anext(events)) for events in begun], told]


async def test_nobody_hears_silence_when_the_tables_are_older_than_what_was_told(db, feed, database_url):
    await write(db, range(5))
    async with AsyncExitStack() as stack:
        waiting = await everything(stack, feed)
        stands, tape = await position_of(db)

        await run(database_url, GO_BACK)
        feed._look_now.set()
        async with asyncio.timeout(10):
            ended = await asyncio.gather(*waiting, return_exceptions=True)

        assert [type(end) for end in ended] == [CursorExpired] * 4
    for events in (feed.candles(BTC_1M, stands, 1), feed.trades(*BTC, tape, 1)):
        async with aclosing(events):
            with pytest.raises(CursorExpired):
                await take(events, 1)
    async with aclosing(feed.candles(BTC_1M, None, 5)) as candles, aclosing(feed.trades(*BTC, None, 5)) as trades:
        seen, tapes = await take(candles, 1), await take(trades, 1)
        await write(db, range(7, 8))
        seen, tapes = seen + await take(candles, 1), tapes + await take(trades, 1)
    assert [told(event) for event in seen] == [("SNAPSHOT", 0), ("CLOSED", 7)]
    assert [[trade.trade_id for trade in event.trades] for event in tapes] == [[0], [7]]
    assert {event.position.epoch for event in [*seen, *tapes]} == {db.epoch.current} != {stands.epoch}


async def test_a_process_without_followers_sees_it_too_and_forgets_what_was_in_memory(db, feed, database_url):
    await write(db, range(5))
    asked = AskedPage.of(BTC_1M, last=3)
    stands, _ = await position_of(db)
    assert await db.epoch.check() is False  # has seen all of it
    async with asyncio.timeout(10):
        while (await feed.windows.pages([asked]))[0] is None:
            await asyncio.sleep(0.001)

    await run(database_url, GO_BACK)
    feed._look_now.set()
    async with asyncio.timeout(10):
        while db.epoch.current == stands.epoch:
            await asyncio.sleep(0.001)
        while (page := (await feed.windows.pages([asked]))[0]) is None:
            await asyncio.sleep(0.001)

    assert [candle.start_time for candle in page.rows] == [NOON]
    assert page.position == await db.market_data.position(BTC_1M)


async def test_an_older_copy_that_has_grown_beyond_what_was_told_is_seen_by_its_rows(db, feed, database_url):
    await write(db, range(5))
    assert await db.epoch.check() is False  # has seen all of it
    async with aclosing(feed.candles(BTC_1M, None, 1)) as events:
        await take(events, 1)
        ended = asyncio.ensure_future(take(events, 20))

        # What another collector stored before this process could look.
        await run(database_url, GO_BACK + "ALTER SEQUENCE raw_trades_id_seq RESTART WITH 2")
        async with DatabaseOperations(database_url) as elsewhere:
            await write(elsewhere, range(10, 20))
        feed._look_now.set()
        with pytest.raises(CursorExpired):
            await ended


async def test_what_was_told_to_those_who_left_counts_too(db, feed, database_url):
    await write(db, range(5))
    await db.epoch.check()
    await write(db, range(5, 8))
    async with aclosing(feed.candles(BTC_1M, None, 1)) as events:
        (event,) = await take(events, 1)
    assert event.position.revision == 8
    # As much as was there when the process looked at all tables.
    await run(database_url, "UPDATE series SET revision = 6; DELETE FROM market_data WHERE revision > 6")

    feed._look_now.set()
    async with asyncio.timeout(10):
        while db.epoch.current == event.position.epoch:
            await asyncio.sleep(0.001)


async def test_one_of_many_renews_the_epoch_and_all_follow(db, database_url):
    await write(db, range(3))
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(DatabaseOperations(database_url)) for _ in range(5)]
        before = {await each.epoch.known() for each in others}
        await run(database_url, GO_BACK)

        changed = await asyncio.gather(*(each.epoch.check() for each in others))
        again = await asyncio.gather(*(each.epoch.check(is_older=False) for each in others))

    assert (changed, again) == ([True] * 5, [False] * 5)
    assert len(before) == len({each.epoch.current for each in others}) == 1
    assert before != {each.epoch.current for each in others}


async def test_a_writer_goes_on_in_a_database_that_lacks_what_it_made(db, database_url):
    await write(db, range(2))
    await run(database_url, "TRUNCATE series, tapes, market_data, raw_trades")

    await write(db, range(2, 4))

    assert (await db.market_data.position(BTC_1M)).revision == 2
    assert [trade.trade_id for trade in (await db.tape.newest(*BTC, 5))[0]] == [2, 3]


async def test_a_role_that_may_not_ask_for_the_cluster_has_an_epoch_too(other, server_url):
    url = other._connections.database
    whole = await other.epoch.known()
    role = f"{url.rsplit('/')[-1].partition('?')[0]}_plain"
    await run(
        url,
        f"CREATE ROLE {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; "
        f"REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; "
        f"ALTER DATABASE {role.removesuffix('_plain')} SET role = {role}",
    )
    try:
        async with DatabaseOperations(url) as barred:
            await write(barred, range(3))
            own = await barred.epoch.known()
            assert await barred.epoch.check() is False  # has seen what was written
            await run(url, f"SET role = NONE; {GO_BACK}")
            assert await barred.epoch.check() is True
            assert len({whole, own, barred.epoch.current}) == 3
    finally:
        await run(url, f"SET role = NONE; DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_copy_put_in_place_of_its_database_is_another(db, feed, server_url):
    async with a_database(server_url) as url:
        name = url.rsplit("/")[-1].partition("?")[0]
        async with DatabaseOperations(url) as replaced, Feed(replaced) as feed:
            await write(replaced, range(2))
            async with aclosing(feed.candles(BTC_1M, None, 1)) as events:
                (first,) = await take(events, 1)
                waiting = asyncio.ensure_future(anext(events))
                await replaced.market_data.upsert_candle(minute(5))
                (last,) = await asyncio.gather(waiting)
                waiting = asyncio.ensure_future(anext(events))
                # The copy has as many revisions: only who it is tells.
                await replace_by_its_copy(server_url, name)
                async with asyncio.timeout(20):
                    with pytest.raises(CursorExpired):
                        await waiting
            for stale in (first, last):
                async with aclosing(feed.candles(BTC_1M, stale.position, 1)) as events:
                    with pytest.raises(CursorExpired):
                        await take(events, 1)


async def replace_by_its_copy(server_url: str, name: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        for statement in (
            f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608
            f"CREATE DATABASE {name}_copy TEMPLATE {name}",
            f"DROP DATABASE {name}",
            f"ALTER DATABASE {name}_copy RENAME TO {name}",
        ):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def folder():
    with a_folder() as folder:
        yield folder


def copied(source: Path, target: Path) -> None:
    """As an operator copies a data folder: owners and times too."""
    subprocess.run(["/bin/cp", "-a", source, target], check=True)


async def test_an_older_copy_of_the_data_folder_under_open_readers_is_another(folder, monkeypatch):
    server = EmbeddedPostgres(folder, FAST)
    async with DatabaseOperations(server) as db:
        await write(db, range(2))
    await server.stop()
    # While nobody starts it: a server that runs writes and removes files while they are copied.
    await asyncio.to_thread(copied, folder / "postgresql-18", folder / "older")
    async with DatabaseOperations(server) as db, Feed(db) as feed, AsyncExitStack() as stack:
        await write(db, range(2, 6))
        waiting = await everything(stack, feed)
        stands, tape = await position_of(db)

        await server.stop()
        await asyncio.to_thread(shutil.rmtree, folder / "postgresql-18")
        (folder / "older").rename(folder / "postgresql-18")
        async with asyncio.timeout(30):
            ended = await asyncio.gather(*waiting, return_exceptions=True)

        assert [type(end) for end in ended] == [CursorExpired] * 4
        await write(db, range(10, 20))  # beyond where they stood
        for events in (feed.candles(BTC_1M, stands, 1), feed.trades(*BTC, tape, 1)):
            async with aclosing(events):
                with pytest.raises(CursorExpired):
                    await take(events, 1)


async def test_a_standby_that_lags_is_not_judged_and_begins_an_epoch_when_it_is_promoted(folder):
    data = folder / "postgresql-18"
    server = EmbeddedPostgres(folder, FAST)
    async with DatabaseOperations(server) as db:
        await write(db, range(3))
        on_primary = await db.epoch.known()
    server = EmbeddedPostgres(folder, FAST)
    (data / "standby.signal").touch()
    async with DatabaseOperations(server) as db:
        on_standby = await db.epoch.known()
        judged = await db.epoch.check(is_older=True)
        await run(await server.start(), "SELECT pg_promote()")
        promoted = await db.epoch.check()

    assert (on_standby, judged, promoted) == (on_primary, False, True)
