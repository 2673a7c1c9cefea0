import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa

from repos import stats
from repos.address import database_url as address
from repos.address import driver_url, wants_sql_logged
from repos.domain import InvalidValue
from repos.embedded.server import EmbeddedPostgres
from repos.errors import DatabaseOperationError, DatabaseUnavailable
from repos.operations import DatabaseOperations, get_database_operations
from tests.builders import BTC_1M, NOON, a_candle, a_record
from tests.conftest import FAST, a_database, a_folder

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        pytest.param({}, None, id="nothing: embedded"),
        pytest.param({"DATABASE_URL": "", "POSTGRES_HOST": ""}, None, id="empty is unset"),
        pytest.param(
            {"DATABASE_URL": "postgres://a@b/c", "POSTGRES_HOST": "h"}, "postgres://a@b/c", id="DATABASE_URL first"
        ),
        pytest.param(
            {"POSTGRES_PASSWORD": "p"},
            "postgresql://postgres:p@/postgres?host=localhost&port=5432",
            id="one variable is enough",
        ),
        pytest.param(
            {
                "POSTGRES_HOST": "db",
                "POSTGRES_PORT": "6432",
                "POSTGRES_USER": "me@home",
                "POSTGRES_PASSWORD": "a/b:c@d%",
                "POSTGRES_DB": "candle data",
            },
            "postgresql://me%40home:a%2Fb%3Ac%40d%25@/candle%20data?host=db&port=6432",
            id="all of them, quoted",
        ),
        pytest.param(
            {"POSTGRES_HOST": "::1", "POSTGRES_USER": "me"},
            "postgresql://me@/me?host=%5B%3A%3A1%5D&port=5432",
            id="IPv6, and the database named like the user",
        ),
    ],
)
def test_the_environment_says_which_database(environ: Mapping[str, str], url: str | None) -> None:
    assert address(environ) == url


async def test_postgres_variables_lead_to_the_database(server_url: str) -> None:
    server = sa.make_url(server_url)
    variables = {
        "POSTGRES_HOST": str(server.host or server.query["host"]),
        "POSTGRES_PORT": str(server.port or 5432),
        "POSTGRES_USER": server.username or "",
        "POSTGRES_PASSWORD": server.password or "",
        "POSTGRES_DB": server.database or "",
    }
    url = address(variables)
    assert url is not None

    connection = await asyncpg.connect(driver_url(url))

    assert await connection.fetchval("SELECT current_user") == server.username
    await connection.close()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_urls_of_all_spellings_are_taken(scheme: str) -> None:
    assert driver_url(f"{scheme}://me@db/candles?sslmode=require") == "postgresql://me@db/candles?sslmode=require"


@pytest.mark.parametrize("url", ["mysql://db/candles", "db/candles", "sqlite:///candles.db", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="DATABASE_URL: it must begin with postgresql://"):
        DatabaseOperations(url)


@pytest.mark.parametrize(
    ("value", "wanted"), [("true", True), ("1", True), (" TRUE ", True), ("false", False), ("", False)]
)
def test_debug_asks_for_sql(value: str, wanted: bool) -> None:
    assert wants_sql_logged({"DEBUG": value}) is wanted
    assert not wants_sql_logged({})


async def test_without_any_set_up_the_first_call_starts_and_migrates_the_embedded_database() -> None:
    with a_folder() as folder:
        db = DatabaseOperations(EmbeddedPostgres(folder, FAST))

        healthy = await db.health_check()
        stored = await db.market_data.upsert_candle(a_candle(), force_update=False)

        assert (healthy, stored) == (True, True)
        assert await db.market_data.get_latest_candle("BTC-USDT", "1m") == a_candle()
        await db.close()
        async with DatabaseOperations(EmbeddedPostgres(folder, FAST)) as again:
            assert (await again.get_stats()).candle_count == 1


async def test_calls_that_come_first_together_migrate_once(server_url: str) -> None:
    async with a_database(server_url) as url:
        db = DatabaseOperations(url)

        found = await asyncio.gather(*(db.bots.count() for _ in range(5)))

        assert found == [0] * 5
        await db.close()


async def test_there_is_one_object_per_url_until_it_is_closed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    first = get_database_operations()

    assert get_database_operations() is get_database_operations(database_url) is first
    assert await first.health_check()

    await first.close()
    second = get_database_operations()
    assert second is not first
    assert await second.health_check()
    await second.close()


async def test_closed_operations_say_so(database_url: str) -> None:
    db = DatabaseOperations(database_url)
    await db.open()
    await db.close()
    await db.close()

    with pytest.raises(DatabaseUnavailable, match="closed"):
        await db.bots.count()
    assert await db.health_check() is False


async def test_what_is_stored_is_told_to_a_logger_of_the_standard_library(
    database_url: str, db: DatabaseOperations, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("mine")
    async with DatabaseOperations(database_url, logger=logger) as mine:
        with caplog.at_level(logging.INFO, "mine"):
            await mine.market_data.upsert_candle(a_candle())
            await mine.bots.add({"name": "one", "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m"})

    messages = [record.getMessage() for record in caplog.records if record.name == "mine"]
    assert any("Stored candle: BTC-USDT 1m at " in message for message in messages)
    assert "Added bot: one id=1" in messages
    assert await db.bots.count() == 1


async def test_debug_tells_each_statement_once_to_the_logger_that_was_passed(
    db: DatabaseOperations,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DEBUG", "true")
    caplog.set_level(logging.INFO, "mine")
    async with get_database_operations(database_url, logging.getLogger("mine")) as mine:
        await mine.bots.get_by_name("nobody")  # by SQLAlchemy
        await mine.market_data.upsert_candle(a_candle())  # by the driver
        await mine.market_data.get_latest_candle("BTC-USDT", "1m")  # as it is stored

    told = [record.getMessage() for record in caplog.records if record.name == "mine"]
    for part in ("FROM bots WHERE bots.name", "INSERT INTO market_data", "market_data.start_time DESC LIMIT"):
        assert len([text for text in told if part in text]) == 1
    assert not [text for text in told if "\n" in text]
    assert capfd.readouterr() == ("", "")


async def test_statements_are_asked_for_later_too(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mine")
    async with get_database_operations(database_url, logging.getLogger("mine")) as mine:
        await mine.bots.get_by_id(1)
        monkeypatch.setenv("DEBUG", "true")
        assert get_database_operations(database_url) is mine
        await mine.bots.get_by_id(2)

    assert len([record for record in caplog.records if "FROM bots" in record.getMessage()]) == 1


async def test_a_failed_statement_says_what_was_attempted(db: DatabaseOperations, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE bots RENAME TO bots_elsewhere")
    try:
        with pytest.raises(DatabaseOperationError, match=r"^reading bot 7: ") as raised:
            await db.bots.get_by_id(7)
    finally:
        await connection.execute("ALTER TABLE bots_elsewhere RENAME TO bots")
        await connection.close()

    assert not isinstance(raised.value, DatabaseUnavailable)
    assert isinstance(raised.value.__cause__, asyncpg.UndefinedTableError)


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    db = DatabaseOperations(f"postgresql://candleql@/candles?host={tmp_path}")

    with pytest.raises(DatabaseUnavailable):
        await db.bots.count()

    assert await db.health_check() is False
    health = await db.health()
    assert (health.connected, health.latency_ms, health.pool_in_use) == (False, None, 0)
    await db.close()


async def test_connections_that_the_server_ended_are_replaced_unseen(
    db: DatabaseOperations, server_url: str, database_url: str
) -> None:
    await asyncio.gather(*(db.bots.count() for _ in range(3)))
    other = await asyncpg.connect(server_url)
    ended = await other.fetchval(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = $1",
        sa.make_url(database_url).database,
    )
    await other.close()

    counts = await asyncio.gather(*(db.bots.count() for _ in range(3)))

    assert ended >= 1
    assert counts == [0, 0, 0]


async def test_a_full_pool_is_told_as_unavailable(database_url: str) -> None:
    async with (
        DatabaseOperations(database_url, pool_size=1, max_overflow=0, pool_timeout=0.01) as db,
        db.engine.connect() as connection,
    ):
        await connection.execute(sa.select(1))
        health = await db.health()

        with pytest.raises(DatabaseUnavailable, match="counting bots"):
            await db.bots.count()

    assert (health.connected, health.pool_size, health.pool_in_use) == (False, 1, 1)


async def test_a_database_too_slow_to_answer_a_page_is_unavailable(database_url: str, db: DatabaseOperations) -> None:
    async with DatabaseOperations(database_url, pool_timeout=0.1) as slow, db.engine.connect() as connection:
        await connection.exec_driver_sql("LOCK TABLE market_data IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailable, match="reading the newest"):
            await slow.market_data.stored.newest([BTC_1M])
        await connection.rollback()
        found = await slow.market_data.stored.newest([BTC_1M])

    assert found == {}


async def test_health_tells_latency_and_pool(db: DatabaseOperations) -> None:
    health = await db.health()

    assert health.connected
    assert health.latency_ms is not None
    assert 0 < health.latency_ms < 5000
    assert (health.pool_size, health.pool_in_use) == (10, 0)


async def test_listening_has_a_connection_of_its_own(database_url: str, db: DatabaseOperations) -> None:
    listen_url = sa.make_url(database_url).update_query_dict({"application_name": "direct"})
    async with DatabaseOperations(database_url, listen_url=listen_url.render_as_string(hide_password=False)) as other:
        direct = await other._connections.listen()
        pooled = await db._connections.listen()

    assert await direct.fetchval("SHOW application_name") == "direct"
    assert await pooled.fetchval("SELECT 1") == 1
    await direct.close()
    await pooled.close()


async def test_stats_count_what_is_stored(db: DatabaseOperations) -> None:
    await db.market_data.upsert_candles([a_candle(), a_candle(timeframe="5s"), a_candle(close=102)], force_update=True)
    await db.tape.insert([a_record(trade_id=n) for n in (1, 2, 3)])
    await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "ticker", {"last": "1"}, NOON)
    await db.bots.add({"name": "one", "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m"})

    found = await db.get_stats()

    assert (found.healthy, found.exact) == (True, True)
    assert (found.bot_count, found.candle_count, found.raw_trade_count) == (1, 2, 4)
    assert found.database_bytes > 1_000_000
    assert found.uptime_seconds > 0
    assert (found.candles_per_second, found.trades_per_second) == (0, 0)


async def test_rates_are_measured_between_calls(db: DatabaseOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "_WINDOW", 0.0)
    await db.tape.insert([a_record(trade_id=1)])
    before = await db.get_stats()
    await db.market_data.upsert_candles([a_candle()])
    await db.tape.insert([a_record(trade_id=n) for n in (2, 3)])

    after = await db.get_stats()

    elapsed = after.uptime_seconds - before.uptime_seconds
    assert after.candles_per_second == pytest.approx(1 / elapsed)
    assert after.trades_per_second == pytest.approx(2 / elapsed)
    assert (await db.get_stats()).trades_per_second == 0


async def test_a_rate_asked_again_at_once_stands(db: DatabaseOperations) -> None:
    await db.get_stats()
    await db.market_data.upsert_candles([a_candle()])

    assert (await db.get_stats()).candles_per_second == 0


@pytest.mark.parametrize("analysed", [True, False])
async def test_many_rows_are_estimated(
    db: DatabaseOperations, database_url: str, monkeypatch: pytest.MonkeyPatch, analysed: bool
) -> None:
    monkeypatch.setattr(stats, "COUNTED", 3)
    await db.tape.insert([a_record(trade_id=n) for n in range(1, 11)])
    if analysed:
        connection = await asyncpg.connect(database_url)
        await connection.execute("ANALYZE raw_trades")
        await connection.close()

    found = await db.get_stats()

    assert not found.exact
    assert found.raw_trade_count == (10 if analysed else 4)
